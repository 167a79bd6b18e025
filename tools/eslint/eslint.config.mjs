import nx from '@nx/eslint-plugin';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';
import { BROWSER_SAFE, depConstraints, TESTS } from './boundaries.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

const houseStyle = {
  'no-restricted-syntax': [
    'error',
    { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
    { selector: 'TSEnumDeclaration', message: 'Use a union of strings.' },
  ],
  '@typescript-eslint/restrict-template-expressions': [
    'error',
    { allowNumber: true, allowBoolean: true, allowNever: true },
  ],
  '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  // Contracts are asynchronous and iterable whether or not one implementation of them waits.
  '@typescript-eslint/require-await': 'off',
  // Data is plain and text is ASCII where either is spread; enumerations only come from generated code.
  '@typescript-eslint/no-misused-spread': 'off',
  '@typescript-eslint/no-unsafe-enum-assignment': 'off',
  '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true, allowThrowingAny: false }],
  // Type parameters name what is inferred; decorated classes may be empty.
  '@typescript-eslint/no-unnecessary-type-parameters': 'off',
  '@typescript-eslint/no-extraneous-class': 'off',
  // Fix types that the compiler then rejects (typescript-eslint 8.73).
  '@typescript-eslint/no-unnecessary-type-assertion': 'off',
  '@typescript-eslint/no-useless-default-assignment': 'off',
  // What JavaScript callers and files hand over is checked although its type says that it cannot be wrong.
  '@typescript-eslint/no-unnecessary-condition': 'off',
  // Builders and schemas are objects of functions, declared as methods, that do not use `this`.
  '@typescript-eslint/unbound-method': 'off',
  // Recurses without end on recursive types such as Tree (typescript-eslint 8.73).
  '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/no-unused-vars': [
    'error',
    { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
  ],
};

export default tseslint.config(
  { ignores: ['**/dist/**', '**/generated/**', 'packages/*/tmp-*', '**/node_modules/**', '**/*.{js,mjs,cjs}'] },
  {
    files: ['packages/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    plugins: { '@nx': nx },
    rules: houseStyle,
  },
  {
    files: TESTS,
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // READMEs' examples are run from their text.
      '@typescript-eslint/no-implied-eval': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-meaningless-void-operator': 'off',
    },
  },
  {
    files: ['packages/*/src/**/*.ts', 'packages/*/*/src/**/*.ts'],
    ignores: TESTS,
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        { depConstraints, enforceBuildableLibDependency: true, banTransitiveDependencies: false },
      ],
    },
  },
  {
    files: BROWSER_SAFE,
    ignores: TESTS,
    rules: {
      'no-restricted-globals': [
        'error',
        'process',
        'Buffer',
        'require',
        'global',
        'setImmediate',
        '__dirname',
        '__filename',
      ],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:*'], message: 'This file runs in browsers: put it behind the ./node entry.' }] },
      ],
    },
  },
);
