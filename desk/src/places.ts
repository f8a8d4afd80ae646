/** Where on a film things lie, in its pixels. */

import type { Film, Point } from "./api";
import { discCorners } from "./anatomy";

/** Around the corners, with room; nothing where there are too few. */
export function spineBox(film: Film): [number, number, number, number] | undefined {
  const points = Object.values(film.corners).filter((p): p is Point => p !== null);
  if (points.length < 8) return undefined;
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = 0.1 * (y1 - y0);
  return [x0 - 2 * room, y0 - room, x1 + 2 * room, y1 + room];
}

/** The nearest place on the film. */
export function within(film: Film, [x, y]: Point): Point {
  return [Math.max(-0.5, Math.min(film.width - 0.5, x)), Math.max(-0.5, Math.min(film.height - 0.5, y))];
}

/** The middle of a level's disc, and how deep its endplates are in film pixels. */
export function middle(film: Film, site: string): { at: Point; depth: number } | null {
  const points = discCorners(site).map((corner) => film.corners[corner]);
  if (points.some((point) => !point)) return null;
  const [ua, up, la, lp] = points as [Point, Point, Point, Point];
  const at: Point = [(ua[0] + up[0] + la[0] + lp[0]) / 4, (ua[1] + up[1] + la[1] + lp[1]) / 4];
  const depth = (Math.hypot(ua[0] - up[0], ua[1] - up[1]) + Math.hypot(la[0] - lp[0], la[1] - lp[1])) / 2;
  return depth > 0 ? { at, depth } : null;
}
