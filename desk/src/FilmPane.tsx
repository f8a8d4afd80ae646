/** A film: its pixels on a canvas, and over it, as SVG whose parts have names, corners and constructions. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Film, Point } from "./api";
import { CORNERS, cornersOf, inWords, VERTEBRAE } from "./anatomy";
import type { Sitting } from "./sitting";
import { toScreen, type Viewport } from "./viewport";

const REACH = { mouse: 14, touch: 30 };
const LOUPE = 132, ENLARGED = 4;

export function FilmPane({ sitting, film, index }: { sitting: Sitting; film: Film; index: number }) {
  const frame = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null);
  const pane = sitting.pane(film), active = index === sitting.active;

  useLayoutEffect(() => {
    const element = frame.current!;
    const measured = () => sitting.resize(film, { width: element.clientWidth, height: element.clientHeight });
    measured();
    const observer = new ResizeObserver(measured);
    observer.observe(element);
    return () => observer.disconnect();
  }, [sitting, film.id]);

  useEffect(() => {
    if (pane.picture && pane.view && pane.window && canvas.current) {
      pane.picture.show(pane.window, sitting.options.invert);
      paint(canvas.current, pane.picture.canvas, pane.view, film.aspect, pane.size);
    }
  });

  usePointers(sitting, film, index, frame);
  const dragged = sitting.moving?.film === film.id ? sitting.moving : null;
  const title = film.posture ?? film.name;
  return (
    <section class={`pane${active ? " active" : ""}`} aria-label={`${title} film`}>
      <header>
        <button class="plain" aria-pressed={active} onClick={() => sitting.look(index)}>
          <b>{title}</b> {film.posture && <span class="muted ellipsis">{film.name}</span>}
        </button>
        <span class="muted">{film.version > 1 ? `v${film.version} · ${film.author}` : film.kind === "blank" ? "not marked" : "prediction"}</span>
      </header>
      <div class={`frame ${sitting.tool}${sitting.corner && !film.corners[sitting.corner] ? " placing" : ""}`} ref={frame} data-film={film.id}>
        <canvas ref={canvas} aria-hidden="true" />
        {!pane.picture && <p class="loading" role="status">Loading the film …</p>}
        {pane.view && <Overlay sitting={sitting} film={film} view={pane.view} active={active} />}
        {dragged && pane.view && pane.picture && <Loupe picture={pane.picture.canvas} at={dragged.to} screen={toScreen(pane.view, film.aspect, dragged.to)} aspect={film.aspect} width={pane.size.width} scale={pane.view.scale} />}
        {active && sitting.corner && !film.corners[sitting.corner] && pane.picture && !dragged && <p class="hint">Click to place: {inWords(sitting.corner)}</p>}
        <span class="side" aria-hidden="true">{film.anterior === "left" ? "◂ A" : "P ▸"}</span>
        <span class="side right" aria-hidden="true">{film.anterior === "left" ? "P ▸" : "◂ A"}</span>
      </div>
    </section>
  );
}

function paint(canvas: HTMLCanvasElement, film: HTMLCanvasElement, view: Viewport, aspect: number, size: { width: number; height: number }): void {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d")!;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(view.scale * ratio, 0, 0, view.scale * aspect * ratio, view.left * ratio, view.top * ratio);
  context.imageSmoothingEnabled = view.scale < 4;
  context.imageSmoothingQuality = "high";
  context.drawImage(film, 0, 0);
}

function Overlay({ sitting, film, view, active }: { sitting: Sitting; film: Film; view: Viewport; active: boolean }) {
  const at = (point: Point | null) => (point ? toScreen(view, film.aspect, point) : null);
  const corners = new Map(CORNERS.map((corner) => [corner, at(sitting.place(film, corner))]));
  const { options, site } = sitting;
  if (options.bare) return null;
  const moved = new Set(film.moved);
  return (
    <svg class="overlay" role="group" aria-label={`Corners of the ${film.posture ?? film.name} film`}>
      {VERTEBRAE.map((vertebra) => <Body key={vertebra} points={cornersOf(vertebra).map((corner) => corners.get(corner)!)} name={vertebra} named={options.names} />)}
      {options.lines && film.lines.filter((line) => line.kind !== "angle" || line.site === site).map((line, i) => {
        const [a, b] = [at(line.points[0])!, at(line.points[1])!];
        return <line key={i} class={`${line.kind}${line.site === site ? " chosen" : ""}`} x1={a[0]} y1={a[1]} x2={b[0]} y2={b[1]} data-site={line.site} />;
      })}
      {options.ellipses && CORNERS.map((corner) => {
        const ellipse = film.ellipses[corner], point = corners.get(corner);
        if (!ellipse || !point) return null;
        return <ellipse key={corner} rx={ellipse.rx * view.scale} ry={ellipse.ry * view.scale} transform={`translate(${point[0]} ${point[1]}) rotate(${ellipse.angle_deg})`} />;
      })}
      {CORNERS.map((corner) => {
        const point = corners.get(corner);
        if (!point) return null;
        const chosen = active && sitting.corner === corner;
        const place = sitting.place(film, corner)!;
        return (
          <g key={corner} class={`corner${chosen ? " chosen" : ""}${moved.has(corner) ? " moved" : ""}`} transform={`translate(${point[0]} ${point[1]})`}
            role="button" tabindex={chosen || (active && !sitting.corner && corner === CORNERS[0]) ? 0 : -1} data-corner={corner} aria-pressed={chosen}
            aria-label={`${inWords(corner)}, ${moved.has(corner) ? "placed by a person" : "predicted"}, x ${place[0].toFixed(1)}, y ${place[1].toFixed(1)}`}
            onFocus={() => { if (active && sitting.corner !== corner) sitting.select(corner); }}>
            {chosen && <circle class="halo" r="11" />}
            <circle class="dot" r={chosen ? 3 : 3.5} />
          </g>
        );
      })}
    </svg>
  );
}

function Body({ points, name, named }: { points: (Point | null)[]; name: string; named: boolean }) {
  const [sa, sp, ia, ip] = points;
  const wall = (a: Point | null | undefined, b: Point | null | undefined, kind: string) =>
    a && b ? <line class={kind} x1={a[0]} y1={a[1]} x2={b[0]} y2={b[1]} /> : null;
  const there = points.filter((point): point is Point => point !== null);
  const middle = there.reduce(([x, y], point) => [x + point[0] / there.length, y + point[1] / there.length], [0, 0] as Point);
  return (
    <g aria-hidden="true">
      {wall(sa, ia, "body")}{wall(sp, ip, "body")}{wall(sa, sp, "endplate")}{wall(ia, ip, "endplate")}
      {named && there.length > 1 && <text x={middle[0]} y={middle[1] + (points.length === 2 ? 20 : 5)}>{name}</text>}
    </g>
  );
}

/** What lies under the finger, enlarged, beside it. */
function Loupe({ picture, at, screen, aspect, width, scale }: { picture: HTMLCanvasElement; at: Point; screen: Point; aspect: number; width: number; scale: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const zoom = Math.max(ENLARGED, scale * 2);
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    context.fillStyle = "#000";
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillRect(0, 0, LOUPE, LOUPE);
    context.setTransform(zoom, 0, 0, zoom * aspect, LOUPE / 2 - (at[0] + 0.5) * zoom, LOUPE / 2 - (at[1] + 0.5) * zoom * aspect);
    context.imageSmoothingEnabled = zoom < 8;
    context.drawImage(picture, 0, 0);
  });
  const left = screen[0] + 28 + LOUPE < width ? screen[0] + 28 : screen[0] - 28 - LOUPE;
  return (
    <div class="loupe" ref={(element) => { if (element) { element.style.left = `${Math.max(4, left)}px`; element.style.top = `${Math.max(4, screen[1] - LOUPE - 16)}px`; } }} aria-hidden="true">
      <canvas ref={canvas} width={LOUPE} height={LOUPE} />
      <i />
    </div>
  );
}

/** Mouse, pen and fingers: a corner under the pointer is dragged, else the tool in hand is used; two fingers and the wheel zoom. */
function usePointers(sitting: Sitting, film: Film, index: number, frame: { current: HTMLDivElement | null }): void {
  const now = useRef({ sitting, film, index });
  now.current = { sitting, film, index };
  useEffect(() => {
    const element = frame.current!;
    const down = new Map<number, Point>();
    let held: { corner: string; offset: Point } | "window" | "pan" | null = null;
    let travelled = 0;
    const local = (event: PointerEvent | WheelEvent): Point => {
      const box = element.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };

    const onDown = (event: PointerEvent) => {
      const { sitting, film, index } = now.current, at = local(event);
      if (!sitting.pane(film).view) return;
      event.preventDefault();
      sitting.look(index);
      element.setPointerCapture(event.pointerId);
      down.set(event.pointerId, at);
      travelled = 0;
      if (down.size > 1) {
        held = null;
        return;
      }
      const corner = sitting.options.bare || event.button !== 0 ? null : sitting.near(film, at, event.pointerType === "mouse" ? REACH.mouse : REACH.touch);
      if (corner) {
        sitting.select(corner);
        (element.querySelector(`[data-corner="${corner}"]`) as SVGElement | null)?.focus({ preventScroll: true });
        const point = toScreen(sitting.pane(film).view!, film.aspect, sitting.place(film, corner)!);
        held = { corner, offset: [point[0] - at[0], point[1] - at[1]] };
      } else {
        held = event.button === 0 && !event.shiftKey ? sitting.tool : "pan";
      }
    };

    const onMove = (event: PointerEvent) => {
      const { sitting, film } = now.current, at = local(event), before = down.get(event.pointerId);
      if (!before) return;
      if (down.size === 2) {
        const other = [...down].find(([id]) => id !== event.pointerId)![1];
        const apart = (p: Point) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        sitting.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
        sitting.zoom(apart(at) / Math.max(1, apart(before)), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
      } else if (held === "window") {
        sitting.windowBy(at[0] - before[0], at[1] - before[1]);
      } else if (held === "pan") {
        sitting.pan(at[0] - before[0], at[1] - before[1]);
      } else if (held) {
        travelled += Math.hypot(at[0] - before[0], at[1] - before[1]);
        if (travelled > 2) sitting.drag(held.corner, sitting.filmAt(film, [at[0] + held.offset[0], at[1] + held.offset[1]]));
        down.set(event.pointerId, at);
        return;
      }
      travelled += Math.hypot(at[0] - before[0], at[1] - before[1]);
      down.set(event.pointerId, at);
    };

    const onUp = (event: PointerEvent) => {
      const { sitting, film } = now.current;
      if (!down.delete(event.pointerId)) return;
      if (held && typeof held === "object") sitting.drop();
      else if (held && travelled < 4 && event.button === 0) {
        if (sitting.corner && !film.corners[sitting.corner]) sitting.put(sitting.filmAt(film, local(event)));
        else sitting.select(null);
      }
      held = null;
    };

    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const { sitting, index } = now.current;
      sitting.look(index);
      sitting.zoom(Math.exp(-event.deltaY / 400), local(event));
    };
    const noMenu = (event: Event) => event.preventDefault();

    element.addEventListener("pointerdown", onDown);
    element.addEventListener("pointermove", onMove);
    element.addEventListener("pointerup", onUp);
    element.addEventListener("pointercancel", onUp);
    element.addEventListener("wheel", onWheel, { passive: false });
    element.addEventListener("contextmenu", noMenu);
    return () => {
      element.removeEventListener("pointerdown", onDown);
      element.removeEventListener("pointermove", onMove);
      element.removeEventListener("pointerup", onUp);
      element.removeEventListener("pointercancel", onUp);
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("contextmenu", noMenu);
    };
  }, [frame]);
}

