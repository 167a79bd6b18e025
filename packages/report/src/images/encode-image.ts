import { base64Encode } from '@bufbuild/protobuf/wire';
import { encode } from 'fast-png';
import { ReportError } from '../errors.js';
import type { SampleImage } from '../records/metric-record.js';

export interface EncodeImageOptions {
  /** `height * width * channels` values. Bytes are taken as they are, other numbers are scaled from `range`. */
  readonly data: Uint8Array | Uint8ClampedArray | Float32Array | Float64Array | readonly number[];
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** 1 is grey, 3 is red, green and blue, 4 has an alpha as well. Default 1. */
  readonly channels?: 1 | 3 | 4;
  /** Whether a pixel's channels lie together (`hwc`) or each channel is a plane (`chw`, as models have it). Default `chw`. */
  readonly layout?: 'hwc' | 'chw';
  /** The values that become black and white. Default [0, 1]; outside they are clamped, and NaN is black. */
  readonly range?: readonly [low: number, high: number];
}

/**
 * Makes a picture for an images record.
 *
 * @throws ReportError if the sizes do not fit together
 */
export function encodeImage(options: EncodeImageOptions): Pick<SampleImage, 'png' | 'width' | 'height'> {
  const { data, width, height, channels = 1, layout = 'chw', range = [0, 1] } = options;
  const size = width * height * channels;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1 || data.length !== size) {
    throw new ReportError(
      `An image of ${width} × ${height} pixels with ${channels} channels needs ${size} values, not ${data.length}.`,
      {
        hint: 'Pass one image at a time, and check `channels`.',
        details: { width, height, channels, length: data.length },
      },
    );
  }
  const bytes = new Uint8Array(size);
  const isBytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  const [low, high] = range;
  const pixels = width * height;
  for (let index = 0; index < size; index += 1) {
    const source = layout === 'hwc' ? index : (index % channels) * pixels + Math.floor(index / channels);
    const value = data[source] ?? 0;
    bytes[index] = isBytes ? value : Math.max(0, Math.min(255, Math.round(((value - low) / (high - low)) * 255)));
  }
  return { png: base64Encode(encode({ width, height, data: bytes, channels, depth: 8 })), width, height };
}
