import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['secretless-source', 'node'] },
  ssr: { resolve: { conditions: ['secretless-source', 'node'] } },
  test: {
    include: ['{src,connectors,test,bench}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    execArgv: ['--conditions=secretless-source'],
  },
});
