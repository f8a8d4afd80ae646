/** Every key of the desk: the help sheet, the manual and the handler are made of this one table. */

import type { Sitting } from "./sitting";

export interface Key { keys: string; does: string; group: string; act?: (sitting: Sitting, shown: string) => void }

const key = (group: string, keys: string, does: string, act?: Key["act"]): Key => (act ? { group, keys, does, act } : { group, keys, does });

const STEP = 1.25;

export const KEYS: Key[] = [
  key("Film", "1 2 3", "this film", (s, k) => s.look(Number(k) - 1)),
  key("Film", "v", "one film, or all side by side", (s) => s.toggle("together")),
  key("Film", "k", "link levels: the other films follow", (s) => s.toggle("linked")),
  key("Film", "+ = -", "zoom in, zoom out", (s, k) => s.zoom(k === "-" ? 1 / STEP : STEP)),
  key("Film", "f", "fit: the spine, and again the whole film", (s) => s.fit()),
  key("Film", "w", "dragging sets the window: up brighter, right wider", (s) => s.use("window")),
  key("Film", "h", "dragging moves the film", (s) => s.use("pan")),
  key("Film", "[ ] { }", "window narrower, wider; darker, brighter", (s, k) => s.nudgeWindow(k)),
  key("Film", "i", "invert", (s) => s.toggle("invert")),
  key("Film", "0", "the usual window", (s) => s.resetWindow()),
  key("Shown", "c", "constructions", (s) => s.toggle("lines")),
  key("Shown", "e", "uncertainty: where each corner lies with 95 %", (s) => s.toggle("ellipses")),
  key("Shown", "l", "names of the vertebrae", (s) => s.toggle("names")),
  key("Shown", "b", "the bare film", (s) => s.toggle("bare")),
  key("Corners", "n p", "next, previous corner", (s, k) => s.step(k === "n" ? 1 : -1)),
  key("Corners", "Arrows", "move the corner by one pixel; with Shift by ten, with Alt by a fifth; without a corner: move the film"),
  key("Corners", "Escape", "let go of the corner", (s) => s.select(null)),
  key("Corners", "Delete", "this corner is not on the film", (s) => s.absentCorner()),
  key("Corners", "x", "this vertebra is not on the film", (s) => s.absentVertebra()),
  key("Corners", "PageUp PageDown", "shift the names up, down", (s, k) => s.shift(k === "PageUp" ? "up" : "down")),
  key("Corners", "u Ctrl+z", "undo", (s) => s.undo()),
  key("Corners", "y Ctrl+y", "redo", (s) => s.redo()),
  key("Corners", "r", "back to the prediction", (s) => s.reset()),
  key("Study", "s", "sign off", (s) => s.open("sign")),
  key("Study", "j", "next study", (s) => s.leaveFor("next")),
  key("Study", "g", "worklist", (s) => s.leaveFor("worklist")),
  key("Study", "d", "dark or light", (s) => s.theme()),
  key("Study", "?", "this sheet", (s) => s.open("help")),
];

const TABLE = new Map(KEYS.flatMap((entry) => (entry.act ? entry.keys.split(" ").map((k) => [k, entry.act!] as const) : [])));

/** Do what a key says; whether it said anything. */
export function press(sitting: Sitting, event: KeyboardEvent): boolean {
  const shown = event.ctrlKey || event.metaKey ? `Ctrl+${event.key === "Z" ? "y" : event.key}` : event.key;
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrow && !event.ctrlKey && !event.metaKey) {
    const far = event.shiftKey ? 10 : event.altKey ? 0.2 : 1;
    sitting.arrow(arrow[0]! * far, arrow[1]! * far);
    return true;
  }
  if (event.altKey) return false;
  const act = TABLE.get(shown);
  act?.(sitting, shown);
  return act !== undefined;
}
