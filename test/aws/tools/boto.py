"""What boto3 is put through; prints one line of JSON for each step. Settings come as JSON on standard input."""

import io
import json
import sys
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

settings = json.load(sys.stdin)
bucket = settings["bucket"]


def client(kind, **options):
    return boto3.client(kind, endpoint_url=settings["endpoints"][kind], config=Config(retries={"max_attempts": 0}, **options))


s3 = client("s3", signature_version="s3v4")
BYTES = bytes(range(256)) * 1000


def equal(found, wanted):
    if found != wanted:
        raise AssertionError("%r is not %r" % (found if len(repr(found)) < 200 else len(found), wanted if len(repr(wanted)) < 200 else len(wanted)))


def read(key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def put():
    s3.put_object(Bucket=bucket, Key="boto", Body=BYTES, Metadata={"origin": "a test"}, ContentType="image/x-test")
    head = s3.head_object(Bucket=bucket, Key="boto")
    equal((head["ContentLength"], head["ContentType"], head["Metadata"]), (len(BYTES), "image/x-test", {"origin": "a test"}))


def get():
    equal(read("boto"), BYTES)
    equal(s3.get_object(Bucket=bucket, Key="boto", Range="bytes=256-511")["Body"].read(), BYTES[256:512])


def hard_keys():
    for key in settings["hardKeys"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        equal(read(key), key.encode())


def listing():
    for name in ["l/1", "l/2", "l/a+b c", "l/é"]:
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="l/", PaginationConfig={"PageSize": 2})
    equal([each["Key"] for page in pages for each in page["Contents"]], ["l/1", "l/2", "l/a+b c", "l/é"])
    equal([each["Key"] for each in s3.list_objects(Bucket=bucket, Prefix="l/a+")["Contents"]], ["l/a+b c"])


def multipart():
    body = BYTES * 44
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=2)
    s3.upload_fileobj(io.BytesIO(body), bucket, "parts", Config=parts)
    found = io.BytesIO()
    s3.download_fileobj(bucket, "parts", found, Config=parts)
    equal(found.getvalue(), body)


def copy_and_delete():
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": settings["hardKeys"][0]})
    equal(read("copy"), settings["hardKeys"][0].encode())
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}]})
    equal(s3.list_objects_v2(Bucket=bucket, Prefix="copy")["KeyCount"], 0)


def by_url(signer):
    url = signer.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "by url"}, ExpiresIn=60)
    # urllib names a type of its own, which the second version of the signature covers.
    asked = urllib.request.Request(url, data=b"by url", method="PUT", headers={"content-type": ""})
    urllib.request.urlopen(asked).read()
    url = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "by url"}, ExpiresIn=60)
    equal(urllib.request.urlopen(url).read(), b"by url")


def presign():
    by_url(s3)


def presign_second_version():
    by_url(client("s3", signature_version="s3"))


def dynamodb():
    tables = client("dynamodb")
    tables.put_item(TableName=bucket, Item={"id": {"S": "é"}, "n": {"N": "1"}})
    equal(tables.get_item(TableName=bucket, Key={"id": {"S": "é"}})["Item"]["n"], {"N": "1"})


def sqs():
    queues = client("sqs")
    name = "boto-" + bucket + boto3.__version__.replace(".", "-")
    queues.create_queue(QueueName=name)
    url = settings["endpoints"]["sqs"] + "/000000000000/" + name
    queues.send_message(QueueUrl=url, MessageBody="a message & more")
    equal([each["Body"] for each in queues.receive_message(QueueUrl=url)["Messages"]], ["a message & more"])


def sts():
    equal(client("sts").get_caller_identity()["UserId"], settings["identity"])


for step in settings["steps"]:
    try:
        globals()[step]()
        outcome = "done"
    except urllib.error.HTTPError as error:
        outcome = "%s %s" % (error, error.read().decode(errors="replace")[:500])
    except Exception as error:  # each step has an outcome of its own
        outcome = "%s: %s" % (type(error).__name__, error)
    print(json.dumps({"step": step, "outcome": outcome, "version": boto3.__version__}), flush=True)
