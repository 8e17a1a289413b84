import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Words that say nothing about what a thing is (architecture, section 2). */
const emptyWords = '(Manager|Helper|Util|Common|Misc|Data|Info)$';

export default tseslint.config(
  { ignores: ['dist/**', 'dist-binary/**', 'dist-release/**', 'node_modules/**', 'coverage/**', '**/testdata/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['*.js'] } } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'typeLike', format: ['PascalCase'], custom: { regex: emptyWords, match: false } },
      ],
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'name what you export' },
        { selector: 'TSEnumDeclaration', message: 'use a union of string literals' },
        { selector: "NewExpression[callee.name='Function']", message: 'code from strings is refused' },
        { selector: 'TSParameterProperty', message: 'declare the field' },
      ],
      'no-eval': 'error',
      'no-restricted-imports': ['error', { paths: [{ name: 'node:vm', message: 'no code from strings' }] }],
    },
  },
  {
    files: ['**/*.test.ts', 'test/**', 'bench/**'],
    rules: {
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
    },
  },
  {
    files: ['*.config.ts', '*.config.js'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'no-restricted-syntax': 'off' },
  },
  // Scripts of examples belong to no project of TypeScript.
  { files: ['**/*.mjs'], extends: [tseslint.configs.disableTypeChecked], rules: { 'no-undef': 'off' } },
);
