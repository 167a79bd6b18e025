import type { Attribute } from '../attribute.js';
import type { OperatorSchema } from '../schema.js';
import type { NodeProto } from '../serialise/generated/onnx_pb.js';
import { ModelFormatError } from './format-error.js';
import { EARLIEST_COMPATIBLE } from './operator-history.js';

/** Newest version of ai.onnx whose additions have been looked at; later ones may change meanings. */
export const NEWEST_OPSET = 25;
/** First version whose nodes may mean something else than our schema, for the few operators that have one. */
const CHANGED_IN: Readonly<Record<string, number>> = { Attention: 24 };

const UPGRADE = 'Convert the model with onnx.version_converter, or export it again with opset 21.';

/** Checks of one model's operator versions, node by node: an old model loads when its nodes mean what they mean today. */
export class OpsetCheck {
  constructor(readonly opsets: ReadonlyMap<string, number>) {}

  version(domain: string): number | undefined {
    return domain === '' || domain === 'ai.onnx'
      ? (this.opsets.get('') ?? this.opsets.get('ai.onnx'))
      : this.opsets.get(domain);
  }

  check(schema: OperatorSchema, node: NodeProto, where: string): void {
    const domain = schema.domain ?? '';
    const version = this.version(domain);
    if (version === undefined)
      throw new ModelFormatError(
        where,
        `The model imports no version of the operators of "${domain === '' ? 'ai.onnx' : domain}".`,
      );
    if (domain === '' && version > NEWEST_OPSET)
      throw new ModelFormatError(where, `The model uses opset ${version}; Updraft knows up to ${NEWEST_OPSET}.`, {
        hint: UPGRADE,
      });
    const earliest = domain === '' ? (EARLIEST_COMPATIBLE[schema.type] ?? schema.since) : schema.since;
    if (version < earliest)
      throw new ModelFormatError(
        where,
        `${node.opType} has an older meaning in opset ${version}; Updraft reads it from opset ${earliest}.`,
        {
          hint: UPGRADE,
          details: { operator: node.opType, opset: version, earliest },
        },
      );
    const changed = domain === '' ? CHANGED_IN[schema.type] : undefined;
    if (changed !== undefined && version >= changed)
      throw new ModelFormatError(where, `${node.opType} changed in opset ${changed}; Updraft reads it before that.`, {
        details: { operator: node.opType, opset: version },
      });
  }

  /** Attributes that a newer version turned into inputs, or an older one into attributes. */
  attributeHint(
    schema: OperatorSchema,
    attributes: ReadonlyMap<string, Attribute>,
  ): { message: string; hint: string } | undefined {
    const version = this.version(schema.domain ?? '');
    if (version === undefined || version === schema.since) return undefined;
    for (const name of attributes.keys())
      if (schema.attributes?.[name] === undefined)
        return {
          message: `${schema.type} has the attribute "${name}", which belongs to ${version < schema.since ? `an older version than ${schema.since}` : `another version than ${schema.since}`} (the model uses opset ${version}).`,
          hint: UPGRADE,
        };
    return undefined;
  }
}
