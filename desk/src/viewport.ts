/** Where a film lies in its pane: film pixel (x, y) is shown at (x * scale + left, y * scale * aspect + top), in CSS pixels. */

import type { Point } from "./api";

export interface Viewport { scale: number; left: number; top: number }
export interface Size { width: number; height: number }

export function toScreen(view: Viewport, aspect: number, [x, y]: Point): Point {
  return [(x + 0.5) * view.scale + view.left, (y + 0.5) * view.scale * aspect + view.top];
}

export function toFilm(view: Viewport, aspect: number, [x, y]: Point): Point {
  return [(x - view.left) / view.scale - 0.5, (y - view.top) / (view.scale * aspect) - 0.5];
}

/** The whole film, or the box [x0, y0, x1, y1] with some room around it, in the middle of the pane. */
export function fitted(pane: Size, film: Size, aspect: number, box: [number, number, number, number] | undefined): Viewport {
  const [x0, y0, x1, y1] = box ?? [-0.5, -0.5, film.width - 0.5, film.height - 0.5];
  const scale = Math.max(1e-4, Math.min(pane.width / (x1 - x0), pane.height / ((y1 - y0) * aspect)));
  return {
    scale,
    left: pane.width / 2 - ((x0 + x1 + 1) / 2) * scale,
    top: pane.height / 2 - ((y0 + y1 + 1) / 2) * scale * aspect,
  };
}

export function zoomed(view: Viewport, factor: number, [x, y]: Point): Viewport {
  const scale = Math.max(0.05, Math.min(40, view.scale * factor));
  const by = scale / view.scale;
  return { scale, left: x - (x - view.left) * by, top: y - (y - view.top) * by };
}

export function panned(view: Viewport, dx: number, dy: number): Viewport {
  return { ...view, left: view.left + dx, top: view.top + dy };
}
