/** Grey PNG files of 8 or 16 bits -> numbers. A browser's own decoder would keep 8 bits of a film. */

export interface Grey { width: number; height: number; depth: 8 | 16; values: Uint8Array | Uint16Array }

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export async function decodeGrey(file: ArrayBuffer): Promise<Grey> {
  const bytes = new Uint8Array(file), view = new DataView(file);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("not a PNG file");
  let width = 0, height = 0, depth = 0;
  const data: BlobPart[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = at + 8;
    if (kind === "IHDR") {
      [width, height, depth] = [view.getUint32(body), view.getUint32(body + 4), view.getUint8(body + 8)];
      if (view.getUint8(body + 9) !== 0 || view.getUint8(body + 12) !== 0) throw new Error("not a plain grey PNG");
    } else if (kind === "IDAT") {
      data.push(bytes.slice(body, body + length));
    }
    at = body + length + 4;
  }
  if (depth !== 8 && depth !== 16) throw new Error("not a PNG of 8 or 16 bits");
  const stream = new Blob(data).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = unfiltered(raw, width, height, depth / 8);
  return depth === 8 ? { width, height, depth, values } : { width, height, depth, values: wide(values) };
}

/** Undo the five filters of PNG (RFC 2083, section 6), in place row by row. */
function unfiltered(raw: Uint8Array, width: number, height: number, step: number): Uint8Array {
  const stride = width * step;
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!;
    const from = y * (stride + 1) + 1, to = y * stride, above = to - stride;
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[to + x - step]! : 0;
      const up = y > 0 ? out[above + x]! : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) guess = paeth(left, up, y > 0 && x >= step ? out[above + x - step]! : 0);
      out[to + x] = raw[from + x]! + guess;
    }
  }
  return out;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function wide(bytes: Uint8Array): Uint16Array {
  const out = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i]! << 8) | bytes[2 * i + 1]!;
  return out;
}
