import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** One object of Kubernetes, as YAML has it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [part: string]: unknown;
}

export interface Named {
  /** Where it comes from, for messages. */
  readonly from: string;
  readonly manifest: Manifest;
}

interface Model {
  validate(): void;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OPERATOR = 'monitoring.coreos.com/v1';

/**
 * What is wrong with manifests by Kubernetes' OpenAPI description, one line each. `validate()` of the models knows formats
 * and what is required, and takes fields that do not exist; the types of the same description refuse those, as every
 * object literal is checked for what its type lacks.
 */
export async function openApiProblems(all: readonly Named[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { from, manifest } of all) {
    try {
      const models = (await import(moduleOf(manifest))) as Record<string, new (manifest: Manifest) => Model>;
      const Model = models[manifest.kind];
      if (Model === undefined) problems.push(`${from}: ${manifest.apiVersion} has no ${manifest.kind}`);
      else new Model(manifest).validate();
    } catch (error) {
      problems.push(`${from}: ${(error as Error).message}`);
    }
  }
  return [...problems, ...typeProblems(all)];
}

function moduleOf({ apiVersion }: Manifest): string {
  const home = apiVersion === OPERATOR ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models';
  return `${home}/${apiVersion}`;
}

/** The types of all manifests in one program: each is a declaration, and each starts a line of its own. */
function typeProblems(all: readonly Named[]): string[] {
  const file = join(ROOT, 'test/charts/manifests.virtual.ts');
  const text = all
    .map(({ manifest }, at) => {
      const type = `import('${moduleOf(manifest)}').I${manifest.kind}`;
      return `export const m${at}: ${type} = ${JSON.stringify(manifest)};`;
    })
    .join('\n');
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2024,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  };
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    getSourceFile: (name, ...rest) =>
      name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2024) : disk.getSourceFile(name, ...rest),
    fileExists: (name) => name === file || disk.fileExists(name),
    readFile: (name) => (name === file ? text : disk.readFile(name)),
  };
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map(({ messageText, start, file: source }) => {
    const line = start === undefined || source === undefined ? 0 : source.getLineAndCharacterOfPosition(start).line;
    return `${all[line]?.from ?? file}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
