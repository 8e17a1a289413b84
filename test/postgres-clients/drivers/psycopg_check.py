"""What psycopg 2 or 3 does with DATABASE_URL alone, as JSON. Argument: psycopg2 or psycopg."""

import io
import json
import os
import sys
import threading
import time

driver = __import__(sys.argv[1])
is_three = sys.argv[1] == "psycopg"
URL = os.environ["DATABASE_URL"]
outcome = {}


def connect(**options):
    connection = driver.connect(URL, connect_timeout=10, **options)
    connection.autocommit = True
    return connection


connection = connect(application_name="checked", options="-c search_path=public,elsewhere")
cursor = connection.cursor()

cursor.execute("select 1, %s, null", ("it's ü",))
outcome["row"] = list(cursor.fetchone())
cursor.execute("select current_setting('application_name'), current_setting('search_path'), current_user::text")
outcome["settings"] = list(cursor.fetchone())
cursor.execute("create temp table t (n int, w text)")
rows = "".join(f"{n}\tword {n}\n" for n in range(50000))
if is_three:
    with cursor.copy("copy t from stdin") as copy:
        copy.write(rows)
    with cursor.copy("copy (select * from t order by n) to stdout") as copy:
        back = b"".join(bytes(chunk) for chunk in copy).decode()
else:
    cursor.copy_expert("copy t from stdin", io.StringIO(rows))
    out = io.StringIO()
    cursor.copy_expert("copy (select * from t order by n) to stdout", out)
    back = out.getvalue()
outcome["copy"] = back == rows

try:
    cursor.execute("select oops")
except driver.Error as error:
    outcome["error"] = error.diag.sqlstate
try:
    connect(dbname="no_such")
except driver.OperationalError as error:
    outcome["database"] = 'database "no_such" does not exist' in str(error)

timer = threading.Timer(0.3, connection.cancel)
timer.start()
begun = time.monotonic()
try:
    cursor.execute("select pg_sleep(30)")
except driver.Error as error:
    outcome["cancel"] = [error.diag.sqlstate, time.monotonic() - begun < 10]
timer.join()

if is_three:
    connection.add_notify_handler(lambda note: outcome.update(notify=note.payload))
cursor.execute("listen heard")
cursor.execute("notify heard, 'here'")
if is_three:
    connection.execute("select 1")
    with connection.pipeline():
        cursors = [connection.execute("select %s::int", (n,)) for n in range(100)]
    outcome["pipeline"] = sum(each.fetchone()[0] for each in cursors)
    cursor = connection.cursor()
    for n in range(3):
        cursor.execute("select %s::int + 1", (n,), prepare=True)
    cursor.execute("select count(*) from pg_prepared_statements where statement like '%+ 1'")
    outcome["prepared"] = cursor.fetchone()[0]
    with connection.transaction():
        named = connection.cursor("named")
        named.execute("select generate_series(1, 5000)")
        outcome["cursor"] = sum(1 for _ in named)
    outcome["encrypted"] = bool(connection.pgconn.ssl_in_use)
else:
    connection.poll()
    outcome["notify"] = connection.notifies[0].payload
    connection.autocommit = False
    named = connection.cursor("named")
    named.execute("select generate_series(1, 5000)")
    outcome["cursor"] = sum(1 for _ in named)
    connection.rollback()
    outcome["encrypted"] = connection.info.ssl_in_use

print(json.dumps(outcome))
