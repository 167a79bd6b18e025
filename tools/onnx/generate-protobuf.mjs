// Regenerates packages/graph/src/serialise/generated/onnx_pb.ts from packages/graph/proto/onnx.proto (the official
// schema, copied from https://github.com/onnx/onnx, onnx/onnx.proto). Run: node tools/onnx/generate-protobuf.mjs
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const out = mkdtempSync(join(tmpdir(), 'onnx-protobuf-'));
try {
  writeFileSync(
    join(out, 'buf.gen.yaml'),
    `version: v2\nplugins:\n  - local: [npx, --yes, "@bufbuild/protoc-gen-es@2"]\n    out: ${out}\n    opt: [target=ts, import_extension=js]\n`,
  );
  execFileSync(
    'npx',
    [
      '--yes',
      '@bufbuild/buf@1',
      'generate',
      '--template',
      join(out, 'buf.gen.yaml'),
      join(root, 'packages/graph/proto'),
    ],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  const note =
    '// Generated from ../../../proto/onnx.proto (ONNX, Apache-2.0, Copyright ONNX Project Contributors) by tools/onnx/generate-protobuf.mjs. Do not edit.\n';
  const code = readFileSync(join(out, 'onnx_pb.ts'), 'utf8')
    .replace(/^\/\/ @generated[\s\S]*?\n\n/, '')
    .replace(/^\/\* eslint-disable \*\/\n*/m, '');
  writeFileSync(join(root, 'packages/graph/src/serialise/generated/onnx_pb.ts'), `${note}\n${code}`);
} finally {
  rmSync(out, { recursive: true });
}
