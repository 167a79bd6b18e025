import tseslint from 'typescript-eslint';
import { BROWSER_SAFE, LAYERS, TEST_LAYERS } from './boundaries.mjs';

const all = Object.keys(LAYERS);
const forbid = (packages, message) => ({
  group: packages.flatMap((name) => [`@updraft/${name}`, `@updraft/${name}/*`]),
  message,
});

const boundaries = all.flatMap((name) => {
  const rule = (allowed) => {
    const others = all.filter((other) => other !== name && !allowed.includes(other));
    return ['error', { patterns: others.length === 0 ? [] : [forbid(others, `${name} may import ${allowed.join(', ') || 'no other package'}.`)] }];
  };
  return [
    { files: [`packages/${name}/src/**/*.ts`], rules: { 'no-restricted-imports': rule(LAYERS[name]) } },
    {
      files: [`packages/${name}/src/**/*.test.ts`, `packages/${name}/src/**/testing/**/*.ts`],
      rules: { 'no-restricted-imports': rule([...LAYERS[name], ...(TEST_LAYERS[name] ?? [])]) },
    },
  ];
});

export default tseslint.config(
  { ignores: ['**/dist/**', '**/generated/**', '**/node_modules/**', '**/*.mjs', 'packages/report/{page,scripts}/**'] },
  { files: ['packages/*/src/**/*.ts'], extends: [tseslint.configs.recommended], languageOptions: { parserOptions: { sourceType: 'module' } } },
  {
    files: ['packages/*/src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
        { selector: 'TSEnumDeclaration', message: 'Use a union of strings.' },
      ],
    },
  },
  {
    files: BROWSER_SAFE,
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'Buffer', 'require', '__dirname'],
      'no-restricted-modules': 'off',
      '@typescript-eslint/no-restricted-imports': ['error', { patterns: [{ group: ['node:*'], message: 'This entry runs in browsers.' }] }],
    },
  },
  ...boundaries,
);
