/** One study at the desk: what is shown, what is selected, and corrections on their way to the server. */

import { api, Refused, type About, type Action, type Film, type Point, type Remeasured, type Study } from "./api";
import { CORNERS, cornersOf, inWords, siteOf, vertebraOf } from "./anatomy";
import { Picture, LEAST_WIDTH, type Window } from "./picture";
import { middle, spineBox, within } from "./places";
import { Trail } from "./trail";
import { fitted, panned, toFilm, toScreen, zoomed, type Size, type Viewport } from "./viewport";

export type Dialog = "help" | "sign" | null;
export type Tool = "window" | "pan";
export type Option = "together" | "linked" | "invert" | "lines" | "ellipses" | "names" | "bare";

/** After so long without a further arrow key, the corner's new place is kept. */
const PAUSE_MS = 450;

interface Pane { size: Size; view: Viewport | null; whole: boolean; window: Window | null; picture: Picture | null }

export class Sitting {
  study: Study;
  active = 0;
  corner: string | null = null;
  site: string | null = null;
  dialog: Dialog = null;
  tool: Tool = "window";
  criteria: string;
  options: Record<Option, boolean> = {
    together: true, linked: true, invert: false, lines: true, ellipses: false, names: true, bare: false,
  };
  /** Corners that are being moved: they are drawn here before the server has measured them. */
  moving: { film: string; corner: string; to: Point } | null = null;
  message = "";
  alarm = "";
  saving = 0;
  panes = new Map<string, Pane>();

  private listeners = new Set<() => void>();
  private trails = new Map<string, Trail>();
  /** What the server keeps: shown again where a correction could not be kept. */
  private kept: Pick<Study, "films" | "motion">;
  private work: Promise<void> = Promise.resolve();
  private asking = false;
  private pause: ReturnType<typeof setTimeout> | undefined;

  constructor(study: Study, readonly about: About, readonly author: () => string, readonly leave: (where: "next" | "worklist") => void) {
    this.study = study;
    this.criteria = study.motion?.criteria ?? "paper";
    this.options.together = window.innerWidth > 760;
    const order = ["flexion", "neutral", "extension"];
    this.study.films.sort((a, b) => order.indexOf(a.posture ?? "") - order.indexOf(b.posture ?? ""));
    this.kept = { films: [...study.films], motion: study.motion };
    for (const film of study.films) {
      this.panes.set(film.id, { size: { width: 0, height: 0 }, view: null, whole: false, window: null, picture: null });
      this.trails.set(film.id, new Trail(film.version));
      void this.load(film.id);
    }
    if (about.annotate) this.corner = this.firstAbsent();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private changed(message?: string): void {
    if (message !== undefined) this.message = message;
    for (const listener of this.listeners) listener();
  }

  get film(): Film { return this.study.films[this.active]!; }
  get several(): boolean { return this.study.films.length > 1; }
  pane(film: Film): Pane { return this.panes.get(film.id)!; }
  canUndo(): boolean { return this.trails.get(this.film.id)!.before !== null; }
  canRedo(): boolean { return this.trails.get(this.film.id)!.after !== null; }

  private async load(film: string): Promise<void> {
    try {
      const picture = await Picture.of(await api.pixels(film));
      const pane = this.panes.get(film)!;
      pane.picture = picture;
      pane.window = picture.usual(spineBox(this.byId(film)));
      this.changed();
    } catch (problem) {
      this.warn(problem);
    }
  }

  // What is looked at

  look(index: number): void {
    if (index < 0 || index >= this.study.films.length || index === this.active) return;
    this.settle();
    this.active = index;
    this.changed(`${this.film.posture ?? this.film.name}`);
  }

  toggle(option: Option): void {
    this.options[option] = !this.options[option];
    if (option === "together") for (const pane of this.panes.values()) pane.view = null;
    this.changed(`${option}: ${this.options[option] ? "on" : "off"}`);
    if (option === "linked" && this.options.linked) this.follow();
  }

  use(tool: Tool): void { this.tool = tool; this.changed(tool === "window" ? "dragging sets the window" : "dragging moves the film"); }
  open(dialog: Dialog): void { this.settle(); this.dialog = dialog; this.changed(); }
  close(): void { this.dialog = null; this.changed(); }
  leaveFor(where: "next" | "worklist"): void { this.settle(); void this.work.then(() => this.leave(where)); }

  theme(): void {
    const root = document.documentElement;
    root.dataset["theme"] = root.dataset["theme"] === "light" ? "dark" : "light";
    localStorage.setItem("theme", root.dataset["theme"]);
    this.changed(root.dataset["theme"]);
  }

  resize(film: Film, size: Size): void {
    const pane = this.pane(film);
    if (pane.size.width === size.width && pane.size.height === size.height) return;
    pane.size = size;
    pane.view = this.fitting(film, pane.whole);
    this.changed();
  }

  fit(): void {
    for (const film of this.options.linked ? this.study.films : [this.film]) {
      const pane = this.pane(film);
      pane.whole = !pane.whole;
      pane.view = this.fitting(film, pane.whole);
    }
    this.changed(this.pane(this.film).whole ? "the whole film" : "the spine");
  }

  private fitting(film: Film, whole: boolean): Viewport {
    const size = this.pane(film).size;
    return fitted(size, film, film.aspect, whole ? undefined : spineBox(film));
  }

  zoom(factor: number, at?: Point): void {
    const pane = this.pane(this.film);
    if (!pane.view) return;
    pane.view = zoomed(pane.view, factor, at ?? [pane.size.width / 2, pane.size.height / 2]);
    this.follow();
    this.changed();
  }

  pan(dx: number, dy: number): void {
    const pane = this.pane(this.film);
    if (!pane.view) return;
    pane.view = panned(pane.view, dx, dy);
    this.follow();
    this.changed();
  }

  /** Linked films show the level at hand in the same place and as large, though their scales differ. */
  private follow(): void {
    if (!this.options.linked || !this.options.together || !this.several) return;
    const site = this.site ?? "L4/L5";
    const own = this.pane(this.film), here = middle(this.film, site);
    if (!own.view || !here) return;
    const [x, y] = toScreen(own.view, this.film.aspect, here.at);
    for (const film of this.study.films) {
      const there = film === this.film ? null : middle(film, site), pane = this.pane(film);
      if (!there || !pane.size.width) continue;
      const scale = (own.view.scale * here.depth) / there.depth;
      const [sx, sy] = [(x / own.size.width) * pane.size.width, (y / own.size.height) * pane.size.height];
      pane.view = { scale, left: sx - (there.at[0] + 0.5) * scale, top: sy - (there.at[1] + 0.5) * scale * film.aspect };
    }
  }

  windowBy(dx: number, dy: number): void {
    for (const film of this.options.linked ? this.study.films : [this.film]) {
      const pane = this.pane(film), old = pane.window;
      if (!old) continue;
      const width = Math.max(LEAST_WIDTH, Math.min(2, old.width * Math.exp(dx / 250)));
      pane.window = { width, centre: Math.max(-0.2, Math.min(1.2, old.centre + (dy / 500) * width)) };
    }
    this.changed();
  }

  nudgeWindow(pressed: string): void {
    this.windowBy(pressed === "[" ? -40 : pressed === "]" ? 40 : 0, pressed === "{" ? 40 : pressed === "}" ? -40 : 0);
  }

  resetWindow(): void {
    for (const film of this.study.films) {
      const pane = this.pane(film);
      pane.window = pane.picture?.usual(spineBox(film)) ?? null;
    }
    this.changed("the usual window");
  }

  // Corners

  select(corner: string | null): void {
    this.settle();
    this.corner = corner;
    if (corner) this.site = siteOf(corner);
    this.changed(corner ? `${inWords(corner)}${this.film.corners[corner] ? "" : ", not on the film: click to place it"}` : "");
  }

  selectSite(site: string | null): void {
    this.site = this.site === site ? null : site;
    this.follow();
    this.changed(this.site ? `level ${this.site}` : "no level");
  }

  step(by: 1 | -1): void {
    const at = this.corner ? CORNERS.indexOf(this.corner) : by > 0 ? -1 : 0;
    this.select(CORNERS[(at + by + CORNERS.length) % CORNERS.length]!);
  }

  /** Where a corner is drawn: where it is being moved to, or where it was measured. */
  place(film: Film, corner: string): Point | null {
    const moving = this.moving;
    return moving && moving.film === film.id && moving.corner === corner ? moving.to : (film.corners[corner] ?? null);
  }

  drag(corner: string, to: Point): void {
    this.moving = { film: this.film.id, corner, to: within(this.film, to) };
    this.changed();
    void this.ask();
  }

  drop(): void {
    const moving = this.moving;
    if (!moving) return;
    clearTimeout(this.pause);
    this.do({ action: "move", corners: { [moving.corner]: moving.to } }, moving.film);
  }

  arrow(dx: number, dy: number): void {
    if (!this.corner) return this.pan(-dx * 30, -dy * 30);
    const at = this.place(this.film, this.corner);
    if (!at) return this.changed("this corner is not on the film: click to place it");
    this.drag(this.corner, [at[0] + dx, at[1] + dy]);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.drop(), PAUSE_MS);
  }

  /** Put the selected corner, which is not on the film, where somebody pointed. */
  put(to: Point): void {
    if (!this.corner) return;
    this.moving = { film: this.film.id, corner: this.corner, to: within(this.film, to) };
    this.drop();
    const next = this.about.annotate ? this.firstAbsent(this.corner) : null;
    if (next) this.corner = next;
    this.changed(next ? `next: ${inWords(next)}` : undefined);
  }

  private firstAbsent(besides?: string): string | null {
    return CORNERS.find((corner) => corner !== besides && !this.film.corners[corner]) ?? null;
  }

  absentCorner(): void {
    if (this.corner) this.do({ action: "move", corners: { [this.corner]: null } });
  }

  absentVertebra(name?: string): void {
    const vertebra = name ?? (this.corner ? vertebraOf(this.corner) : null);
    if (!vertebra) return this.changed("choose a corner of the vertebra first");
    this.do({ action: "move", corners: Object.fromEntries(cornersOf(vertebra).map((corner) => [corner, null])) });
  }

  /** Names belong to the study: its films were named together, so they are shifted together where they are linked. */
  shift(direction: "up" | "down"): void {
    this.settle();
    for (const film of this.options.linked ? this.study.films : [this.film]) this.do({ action: "shift", direction }, film.id);
  }

  undo(): void { this.back("before"); }
  redo(): void { this.back("after"); }

  private back(which: "before" | "after"): void {
    this.settle();
    const film = this.film.id, trail = this.trails.get(film)!;
    if (trail[which] === null) return this.changed(which === "before" ? "nothing to undo" : "nothing to redo");
    const step = (): Action | null => (trail[which] === null ? null : { action: "restore", version: trail[which] });
    this.enqueue(film, step, (now) => trail.went(which, now));
  }

  reset(): void { this.do({ action: "restore", version: 1 }); }

  say(action: Action): void { this.do(action); }

  async judgeBy(criteria: string): Promise<void> {
    this.criteria = criteria;
    await this.refresh();
  }

  // The server

  /** What a corner would change where it is now; only ever one question at a time, and always about the last place. */
  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      for (let last: Point | null = null; this.moving && this.moving.to !== last; ) {
        const { film, corner, to }: { film: string; corner: string; to: Point } = this.moving;
        last = to;
        const found: Remeasured = await api.measure(film, this.byId(film).version, { action: "move", corners: { [corner]: to } }, this.criteria);
        if (this.moving && this.moving.film === film) {
          this.took(found, this.byId(film));
          this.changed();
        }
      }
    } catch (problem) {
      if (!(problem instanceof Refused && problem.status === 429)) this.warn(problem);
    } finally {
      this.asking = false;
    }
  }

  private do(action: Action, film = this.film.id): void {
    this.enqueue(film, () => action, (now) => this.trails.get(film)!.made(now));
  }

  /** Corrections go one after the other, each done to the version that the one before it made. */
  private enqueue(film: string, action: () => Action | null, kept: (version: number) => void): void {
    this.saving++;
    this.changed();
    this.work = this.work.then(async () => {
      const held = this.moving;
      try {
        const wanted = action();
        if (!wanted) return;
        const found = await api.correct(film, this.byId(film).version, wanted, this.author(), this.criteria);
        this.took(found);
        kept(found.film.version);
        if (this.study.status === "signed") this.study.status = "changed";
        this.message = `${found.film.what}; version ${found.film.version} kept`;
        this.alarm = "";
      } catch (problem) {
        if (problem instanceof Refused && problem.status === 409) {
          await this.refresh();
          const by = this.byId(film);
          this.trails.set(film, new Trail(by.version));
          this.alarm = `${by.author} changed this film meanwhile (${by.what}). Your last change was not kept: look, and repeat it if it still holds.`;
        } else {
          this.study.films = [...this.kept.films];
          this.study.motion = this.kept.motion;
          this.warn(problem);
        }
      } finally {
        if (this.moving === held) this.moving = null;
        this.saving--;
        this.changed();
      }
    });
  }

  /** Keep what an arrow key moved and nobody let go of. */
  private settle(): void {
    if (this.moving) this.drop();
  }

  private byId(film: string): Film { return this.study.films.find((one) => one.id === film)!; }

  /** A preview's answer belongs to the version it was tried on. */
  private took({ film, motion }: Remeasured, before?: Film): void {
    const at = this.study.films.findIndex((one) => one.id === film.id);
    if (before) {
      const { version, kind, what, author, made_at } = before;
      this.study.films[at] = { ...film, version, kind, what, author, made_at };
    } else {
      this.study.films[at] = this.kept.films[at] = film;
      this.kept.motion = motion;
    }
    this.study.motion = motion;
  }

  private async refresh(): Promise<void> {
    const fresh = await api.study(this.study.id, this.criteria);
    const order = this.study.films.map((film) => film.id);
    fresh.films.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
    this.study = fresh;
    this.kept = { films: [...fresh.films], motion: fresh.motion };
    this.changed();
  }

  async sign(comment: string): Promise<boolean> {
    this.settle();
    await this.work;
    const versions = Object.fromEntries(this.study.films.map((film) => [film.id, film.version]));
    try {
      const signed = await api.sign(this.study.id, versions, this.author(), comment);
      this.study.status = signed.status;
      this.study.sign_offs = signed.sign_offs;
      this.dialog = null;
      this.changed("signed");
      return true;
    } catch (problem) {
      if (problem instanceof Refused && problem.status === 409) await this.refresh();
      this.warn(problem);
      return false;
    }
  }

  private warn(problem: unknown): void {
    this.alarm = problem instanceof Error ? problem.message : String(problem);
    this.changed();
  }

  dismiss(): void { this.alarm = ""; this.changed(); }

  /** Which corner lies nearest to a place in the pane, within reach of a finger. */
  near(film: Film, at: Point, reach: number): string | null {
    const view = this.pane(film).view;
    if (!view) return null;
    let best: string | null = null, least = reach;
    for (const corner of CORNERS) {
      const point = this.place(film, corner);
      if (!point) continue;
      const [x, y] = toScreen(view, film.aspect, point);
      const apart = Math.hypot(x - at[0], y - at[1]) - (corner === this.corner ? 4 : 0);
      if (apart < least) [best, least] = [corner, apart];
    }
    return best;
  }

  filmAt(film: Film, at: Point): Point { return toFilm(this.pane(film).view!, film.aspect, at); }
}
