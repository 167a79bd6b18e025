"""Writes packages/graph/src/load/operator-history.ts from the history of the ONNX operators (pip install onnx).

Reads lines "Type since" on standard input (list-operators.ts prints them): the versions that Updraft's schemas describe. An older version counts as
compatible when a node that passes our checks means the same there: no input moved, no default changed. What cannot be
seen in the declarations is listed by hand below.
"""
import sys
from collections import defaultdict
import onnx
import onnx.defs

BY_HAND = {
    # Flattened to two dimensions before version 13.
    'Softmax': 13, 'LogSoftmax': 13, 'Hardmax': 13,
    # No broadcasting before version 7 (8 for the variadic ones).
    'Add': 7, 'Sub': 7, 'Mul': 7, 'Div': 7, 'Pow': 7, 'And': 7, 'Or': 7, 'Xor': 7, 'Equal': 7, 'Greater': 7, 'Less': 7,
    'Gemm': 7, 'PRelu': 7, 'Max': 8, 'Min': 8, 'Sum': 8, 'Mean': 8,
    # Other coordinates, or scales for groups instead of channels.
    'Resize': 11, 'RoiAlign': 16, 'GroupNormalization': 21, 'GridSample': 20,
    # Training was an attribute of its own, and `spatial` was 1 by default.
    'BatchNormalization': 7, 'Dropout': 12,
    'Scan': 9, 'Clip': 11, 'Split': 13, 'Cast': 6, 'Tile': 6, 'TopK': 10, 'Slice': 10, 'Pad': 11, 'Reshape': 5, 'Concat': 4,
    'AveragePool': 7, 'LpPool': 2, 'GlobalLpPool': 2, 'GRU': 7, 'LSTM': 7, 'RNN': 7, 'Selu': 6,
}


def attributes(schema):
    return {
        a.name: (a.type.name, a.required, str(onnx.helper.get_attribute_value(a.default_value)) if a.default_value.name else None)
        for a in schema.attributes.values()
    }


history = defaultdict(dict)
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == '':
        history[schema.name][schema.since_version] = schema


def compatible(old, new):
    before, after = attributes(old), attributes(new)
    if len(old.inputs) > len(new.inputs):
        return False
    for name, facts in before.items():
        if name not in after:
            # The node must not have it (we refuse it); leaving it out must have had no effect.
            if facts[1] or facts[2] is not None:
                return False
        elif facts != after[name] and not (facts[1] and not after[name][1] and facts[0] == after[name][0]):
            return False
    return True


lines = []
for line in sorted(sys.stdin):
    name, since = line.split()
    since = int(since)
    versions = sorted(version for version in history.get(name, {}) if version < since)
    earliest = since
    for version in reversed(versions):
        if not compatible(history[name][version], history[name][since]):
            break
        earliest = version
    earliest = BY_HAND.get(name, earliest)
    if name in history and earliest < since:
        lines.append(f'  {name}: {earliest},')

print(f'''/**
 * Earliest version of each operator whose nodes mean what our schema says, where that is older than the schema.
 * Generated from the operator history of ONNX {onnx.__version__} by tools/onnx/operator-history.py. Do not edit.
 */
export const EARLIEST_COMPATIBLE: Readonly<Record<string, number>> = {{''')
print('\n'.join(lines))
print('};')
