import { createHash, randomUUID } from 'node:crypto';
import { header, type Call } from './call.ts';
import { xmlAnswer, type Answer, type XmlFields } from './dialect.ts';
import { parameters } from './received-head.ts';
import { AwsRefusal } from './refusal.ts';
import type { Account } from './verify-head.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Tables, queues and sessions: the services whose requests are messages. */
export class MessageSurfaces {
  readonly items = new Map<string, Fields[]>();
  readonly queues = new Map<string, string[]>();
  /** Parameters of every AssumeRole that was answered. */
  readonly assumed: Readonly<Record<string, string>>[] = [];
  readonly #accounts: Account[];

  /** `accounts` gains the ones that AssumeRole makes. */
  constructor(accounts: Account[]) {
    this.#accounts = accounts;
  }

  /** `X-Amz-Target: DynamoDB_20120810.PutItem`. */
  json(call: Call): Answer {
    const [, operation = ''] = (header(call.head, 'x-amz-target') ?? '').split('.');
    const input = JSON.parse(call.content.body!.toString() || '{}') as Fields;
    const output = operation.endsWith('Item') ? this.#item(operation, input) : this.#queue(operation, input, call);
    const type = header(call.head, 'content-type') ?? 'application/x-amz-json-1.0';
    return { status: 200, headers: { 'content-type': type }, body: JSON.stringify(output) };
  }

  /** `Action=SendMessage&…` in the body or in the query. */
  query(call: Call): Answer {
    const pairs = [...parameters(call.head.query), ...parameters(call.content.body!.toString('latin1'))];
    const input = Object.fromEntries(pairs);
    const action = input['Action'] ?? '';
    const result = /Message|Queue/.test(action) ? this.#queue(action, input, call) : this.#session(action, input, call);
    const messages = result['Messages'] as readonly XmlFields[] | undefined;
    const fields = messages === undefined ? (result as XmlFields) : { Message: messages };
    return xmlAnswer({
      [`${action}Response`]: { [`${action}Result`]: fields, ResponseMetadata: { RequestId: randomUUID() } },
    });
  }

  /** Any other service: tells what was asked. */
  rest({ head, query, content }: Call): Answer {
    const seen = { method: head.method, path: head.path, query: [...query], body: content.body!.toString('base64') };
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(seen) };
  }

  #item(operation: string, input: Fields): Fields {
    const table = input['TableName'] as string;
    const items = this.items.get(table) ?? [];
    this.items.set(table, items);
    if (operation === 'PutItem') {
      items.push(input['Item'] as Fields);
      return {};
    }
    if (operation !== 'GetItem') throw new AwsRefusal(400, 'UnknownOperationException', operation);
    const wanted = Object.entries(input['Key'] as Fields);
    const fits = (item: Fields): boolean =>
      wanted.every(([name, value]) => JSON.stringify(item[name]) === JSON.stringify(value));
    const Item = items.findLast(fits);
    return Item === undefined ? {} : { Item };
  }

  #queue(operation: string, input: Fields, { head }: Call): Fields {
    const name = (input['QueueName'] ?? (input['QueueUrl'] as string | undefined)?.split('/').at(-1) ?? '') as string;
    const queue = this.queues.get(name) ?? [];
    const MD5 = (text: string): string => createHash('md5').update(text).digest('hex');
    switch (operation) {
      case 'CreateQueue':
        this.queues.set(name, queue);
        return { QueueUrl: `http://${header(head, 'host')}/000000000000/${name}` };
      case 'SendMessage': {
        const text = input['MessageBody'] as string;
        queue.push(text);
        return { MessageId: randomUUID(), MD5OfMessageBody: MD5(text) };
      }
      case 'ReceiveMessage':
        return {
          Messages: queue.map((text) => ({
            MessageId: randomUUID(),
            ReceiptHandle: randomUUID(),
            Body: text,
            MD5OfBody: MD5(text),
          })),
        };
      default:
        throw new AwsRefusal(400, 'InvalidAction', `The action ${operation} is not valid for this endpoint.`);
    }
  }

  #session(action: string, input: Readonly<Record<string, string>>, { signer }: Call): XmlFields {
    const caller = signer?.account.accessKeyId ?? 'anonymous';
    if (action === 'GetCallerIdentity')
      return { Arn: `arn:aws:iam::000000000000:user/${caller}`, UserId: caller, Account: '000000000000' };
    if (action !== 'AssumeRole') throw new AwsRefusal(400, 'InvalidAction', `The action ${action} is not valid.`);
    this.assumed.push(input);
    const seconds = Number(input['DurationSeconds'] ?? 3600);
    const account = {
      accessKeyId: `ASIA${randomUUID().slice(0, 8).toUpperCase()}`,
      secretAccessKey: randomUUID(),
      sessionToken: `session/${randomUUID()}`,
      expiresAt: new Date(Date.now() + seconds * 1000),
    };
    this.#accounts.push(account);
    return {
      Credentials: {
        AccessKeyId: account.accessKeyId,
        SecretAccessKey: account.secretAccessKey,
        SessionToken: account.sessionToken,
        Expiration: account.expiresAt.toISOString(),
      },
      AssumedRoleUser: { AssumedRoleId: 'AROA:s', Arn: `${input['RoleArn']}/${input['RoleSessionName']}` },
    };
  }
}
