/** What the reference says beyond the schema. */

interface Section {
  readonly title: string;
  /** The key that it begins with: all that stand below it belong to the section. */
  readonly begins: string;
  readonly text: string;
}

export const SECTIONS: readonly Section[] = [
  {
    title: 'Version',
    begins: 'version',
    text: 'Version 1 files of CyberArk’s broker are converted; `secretless check --print` shows the result.',
  },
  {
    title: 'Services',
    begins: 'services',
    text: 'What is lent, and where. A service has a connector, which knows the protocol, and the credentials that it needs.',
  },
  {
    title: 'Named stores',
    begins: 'providers',
    text: 'A provider with options, under a name that `from:` may use. Options are listed below by provider.',
  },
  {
    title: 'Egress',
    begins: 'egress',
    text: 'The way for clients that call `https://` themselves; see [any https client](../README.md#any-https-client).',
  },
  { title: 'Agents', begins: 'agents', text: 'Who may be asking, for listeners that several agents share.' },
  {
    title: 'Rules',
    begins: 'rules',
    text: 'How they are asked, and what each selector covers, is told under [rules](rules.md).',
  },
  {
    title: 'Ledger',
    begins: 'ledger',
    text: 'Fields and promises: [the ledger](../src/ledger/README.md). Changes only at a restart.',
  },
  { title: 'Control socket', begins: 'control', text: 'Changes only at a restart.' },
  {
    title: 'Telemetry',
    begins: 'telemetry',
    text: 'Health, readiness and metrics; `--telemetry` of `secretless start` overrides the address. Changes only at a restart, but for the level.',
  },
  { title: 'Limits', begins: 'limits', text: 'Of every listener; those of one service stand below it.' },
];

/** Meanings of keys of which the schema says too little, or nothing; `connector: key` and `provider: key` for theirs. */
export const MEANINGS: Readonly<Record<string, string>> = {
  version: 'Version of the grammar',
  'services.<name>': 'One service; the name is the one in rules, metrics and the ledger',
  'services.<name>.connector': 'Knows the protocol’s login or signing: see [connectors](#connectors)',
  'services.<name>.listenOn':
    'Addresses accepted on: `tcp://host:port`, `unix:///path`. With a `target`, and of `aws`, it may be left out where there is `egress`',
  'services.<name>.config': 'What the connector does with the credentials: see [connectors](#connectors)',
  'services.<name>.tls.key': 'Key of the client certificate: a path, PEM text, or a credential',
  'services.<name>.timeouts': 'Times after which this service gives up',
  'services.<name>.limits': 'What this service takes at most',
  'egress.deny.addresses': 'Blocks in CIDR form',
  'egress.reach.addresses': 'Blocks in CIDR form; of two that hold an address the narrower decides',
  'egress.resolve.<name>': 'An IP address for that name',
  'egress.ca': 'The authority that issues certificates for targets',
  'rules[].effect': 'What a match means; deny rules are asked first',
  'rules[].time': 'Window in which an allow rule says yes',
  'rules[].time.from': 'Beginning on the wall clock of `zone`; after `to`: overnight',
  'rules[].time.to': 'End, which is no longer in the window',
  'rules[].rate': 'How often an allow rule says yes',
  'rules[].rate.perMinute': 'Over any 60 seconds, for each agent and service',
  ledger: 'Where uses are recorded',
  'ledger.file': 'The file; rotated ones stand beside it',
  'ledger.durability': '`write` survives the end of the process, `fsync` that of the machine',
  control: 'Where `status`, `stop` and the like ask',
  'control.socket': 'Path of the Unix socket, mode 0600',
  telemetry: 'Health, metrics and log',
  'telemetry.log': 'What is logged, to standard error',
  'telemetry.log.level': 'The least important that is written; `start --debug` overrides it',
  limits: 'Of all listeners',
  'postgres: tls.certificate': 'Certificate with its chain, absolute path',
  'postgres: tls.key': 'Its key, absolute path',
  'aws: agents.<name>': 'The key made up for this agent',
  'ssh: agents.<name>': 'What proves this agent: one of the two',
  'aws-sts: externalId': 'External id that the role asks for',
  'aws-sts: policyArns': 'Policies that narrow the session further',
};
