import { defineStreamConnector } from 'secretless-sidecar/connector';
import { checkPostgresConfig, postgresConfig } from './config.ts';
import { environmentOf } from './environment.ts';

/** PostgreSQL: the login upstream is the sidecar's, the session is the client's. */
export const postgres = defineStreamConnector({
  kind: 'stream',
  name: 'postgres',
  aliases: ['pg'],
  summary: 'PostgreSQL and what speaks its protocol: logs in upstream, then copies bytes',
  config: postgresConfig,
  credentials: [
    {
      name: 'url',
      required: false,
      meaning: 'a whole connection URL; the credentials below win over its parts',
      example: '{ from: env, get: DATABASE_URL }',
    },
    {
      name: 'host',
      required: false,
      meaning: 'host, hosts with commas, or folder of a Unix socket',
      example: 'db.internal',
    },
    { name: 'port', required: false, meaning: 'port, or one for each host; 5432', example: '5432' },
    { name: 'address', required: false, meaning: 'host:port in one', example: 'db.internal:5432' },
    { name: 'username', required: false, meaning: 'role to log in as', example: 'orders_rw' },
    {
      name: 'password',
      required: false,
      meaning: 'password, access token or signed token of a cloud provider',
      example: '{ from: env, get: PGPASSWORD }',
    },
    { name: 'sslmode', required: false, meaning: 'libpq word from disable to verify-full', example: 'verify-full' },
    { name: 'sslhost', required: false, meaning: 'name that the certificate has to bear', example: 'db.example.com' },
    {
      name: 'sslrootcert',
      required: false,
      meaning: 'trusted authorities: PEM, absolute path or `system`',
      example: '{ from: file, get: /etc/ssl/rds.pem }',
      multiline: true,
    },
    {
      name: 'sslcert',
      required: false,
      meaning: 'client certificate: PEM or absolute path',
      example: '{ from: file, get: /etc/pg/client.pem }',
      multiline: true,
    },
    {
      name: 'sslkey',
      required: false,
      meaning: 'key of the client certificate: PEM or absolute path',
      example: '{ from: file, get: /etc/pg/client.key }',
      multiline: true,
    },
  ],
  otherCredentials: 'a startup option of that name, unless the client sends one: `application_name`, `search_path`',
  check: checkPostgresConfig,
  environment: environmentOf,
  async open(config) {
    // Loaded at the first use: time to ready counts for those who have no such service.
    const { PostgresService } = await import('./service.ts');
    return new PostgresService(config);
  },
});
