/** A film's pixels, and the picture that a window makes of them. */

import { decodeGrey, type Grey } from "./png";

/** Brightness in [0, 1]: what lies `width` around `centre` is shown from black to white. */
export interface Window { centre: number; width: number }

export const LEAST_WIDTH = 0.02;

export class Picture {
  readonly canvas = document.createElement("canvas");
  private readonly image: ImageData;
  private shown = "";

  private constructor(private readonly grey: Grey) {
    this.canvas.width = grey.width;
    this.canvas.height = grey.height;
    this.image = new ImageData(grey.width, grey.height);
  }

  static async of(file: ArrayBuffer): Promise<Picture> {
    return new Picture(await decodeGrey(file));
  }

  /** A window that shows what lies in the box [x0, y0, x1, y1], or else on the whole film, from black to white. */
  usual(box: [number, number, number, number] = [0, 0, this.grey.width, this.grey.height]): Window {
    const { values, depth, width, height } = this.grey;
    const shift = depth === 8 ? 0 : 6, most = depth === 8 ? 255 : 1023;
    const counts = new Uint32Array(most + 1);
    const [x0, y0, x1, y1] = [Math.max(0, box[0]), Math.max(0, box[1]), Math.min(width, box[2]), Math.min(height, box[3])].map(Math.round) as typeof box;
    let total = 0;
    for (let y = y0; y < y1; y += 2) for (let x = x0; x < x1; x += 2, total++) counts[values[y * width + x]! >> shift]!++;
    const [low, high] = [0.005, 0.998].map((share) => {
      let seen = 0, at = 0;
      while (at < most && (seen += counts[at]!) < share * total) at++;
      return at / most;
    }) as [number, number];
    const span = Math.max(0.1, (high - low) * 1.1);
    return { centre: (low + high) / 2, width: span };
  }

  /** Draw the film through a window, unless it is drawn so already. */
  show(window: Window, invert: boolean): void {
    const wanted = `${window.centre} ${window.width} ${invert}`;
    if (wanted === this.shown) return;
    const { values, depth } = this.grey;
    const most = depth === 8 ? 255 : 65535;
    const table = new Uint32Array(most + 1);
    for (let v = 0; v <= most; v++) {
      const share = (v / most - window.centre) / window.width + 0.5;
      const level = Math.round(255 * Math.max(0, Math.min(1, invert ? 1 - share : share)));
      table[v] = (255 << 24) | (level << 16) | (level << 8) | level;
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[values[i]!]!;
    this.canvas.getContext("2d")!.putImageData(this.image, 0, 0);
    this.shown = wanted;
  }
}
