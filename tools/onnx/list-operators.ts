// Prints "Type since" for every ai.onnx operator that Updraft knows, for operator-history.py:
// node --conditions=@updraft/source --import tsx tools/onnx/list-operators.ts | python tools/onnx/operator-history.py > packages/graph/src/load/operator-history.ts
import { standardSchemas } from '@updraft/graph';

for (const { type, domain, since } of standardSchemas()) if ((domain ?? '') === '') console.log(type, since);
