/** The study at the desk: films, tools and panels. */

import { useEffect, useReducer, useState } from "preact/hooks";
import { api, type About, type Study } from "./api";
import { Help, SignSheet } from "./Dialogs";
import { FilmPane } from "./FilmPane";
import { press } from "./keys";
import { Panels } from "./Panels";
import { Sitting, type Option } from "./sitting";
import { STATUS } from "./words";

const POLL_MS = 800;

export function Desk({ id, about, author, leave }: { id: string; about: About; author: () => string; leave: (where: "next" | "worklist") => void }) {
  const [study, setStudy] = useState<Study | null>(null);
  const [problem, setProblem] = useState("");
  const [sitting, setSitting] = useState<Sitting | null>(null);
  useEffect(() => {
    let gone = false;
    const load = async () => {
      try {
        const found = await api.study(id, "paper");
        if (gone) return;
        setStudy(found);
        if (found.status === "waiting") setTimeout(() => void load(), POLL_MS);
        else if (found.films.length) setSitting(new Sitting(found, about, author, leave));
      } catch (why) {
        if (!gone) setProblem(String(why instanceof Error ? why.message : why));
      }
    };
    void load();
    return () => { gone = true; };
  }, [id]);
  if (sitting) return <Seated key={id} sitting={sitting} />;
  return (
    <main class="waiting">
      <h1>{study?.name ?? "Opening …"}</h1>
      <p role="status">{problem || study?.problem || (study ? "The networks are reading the films; that takes some seconds a film." : "")}</p>
      <button onClick={() => leave("worklist")}>Worklist</button>
    </main>
  );
}

function Seated({ sitting }: { sitting: Sitting }) {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => sitting.subscribe(() => redraw(0)), [sitting]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (sitting.dialog || target.matches("input, select, textarea")) return;
      if (press(sitting, event)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [sitting]);
  const { study } = sitting;
  const shown = sitting.options.together ? study.films : [sitting.film];
  return (
    <main class="desk">
      <header class="bar">
        <button class="plain" onClick={() => sitting.leaveFor("worklist")} aria-label="worklist">☰<span class="wide"> Worklist</span></button>
        <h1 title={study.name}>{study.name}</h1>
        <span class={`status ${study.status}`}>{STATUS[study.status]}</span>
        <span class="saving" role="status">{sitting.saving ? "keeping …" : ""}</span>
        <span class="space" />
        <Exports sitting={sitting} />
        <button onClick={() => sitting.open("help")} aria-label="keys">?</button>
        <button onClick={() => sitting.leaveFor("next")} aria-keyshortcuts="j"><span class="wide">Next </span>▸</button>
        <button class="main" onClick={() => sitting.open("sign")} aria-keyshortcuts="s">Sign off</button>
      </header>
      <Tools sitting={sitting} />
      {sitting.alarm && <p class="alarm" role="alert">{sitting.alarm} <button onClick={() => sitting.dismiss()}>understood</button></p>}
      <div class={`films n${shown.length}`}>
        {shown.map((film) => <FilmPane key={film.id} sitting={sitting} film={film} index={study.films.indexOf(film)} />)}
      </div>
      <aside class="panels" aria-label="Measurements" tabIndex={0}><Panels sitting={sitting} /><p class="notice">{sitting.about.notice}</p></aside>
      <p class="unseen" role="status" aria-live="polite">{sitting.message}</p>
      {sitting.dialog === "help" && <Help close={() => sitting.close()} />}
      {sitting.dialog === "sign" && <SignSheet sitting={sitting} signed={(next) => { if (next) sitting.leaveFor("next"); }} />}
    </main>
  );
}

function Tools({ sitting }: { sitting: Sitting }) {
  const { options } = sitting;
  const switched = (option: Option, text: string, key: string) => (
    <button aria-pressed={options[option]} aria-keyshortcuts={key} title={`${text} (${key})`} onClick={() => sitting.toggle(option)}>{text}</button>
  );
  return (
    <nav class="tools" aria-label="Tools">
      {sitting.several && (
        <span class="group" role="group" aria-label="Films">
          {!options.together && sitting.study.films.map((film, i) => <button key={film.id} aria-pressed={i === sitting.active} aria-keyshortcuts={String(i + 1)} onClick={() => sitting.look(i)}>{film.posture ?? `film ${i + 1}`}</button>)}
          {switched("together", "side by side", "v")}{switched("linked", "linked", "k")}
        </span>
      )}
      <span class="group" role="group" aria-label="Dragging">
        <button aria-pressed={sitting.tool === "window"} title="dragging sets the window (w)" onClick={() => sitting.use("window")}>window</button>
        <button aria-pressed={sitting.tool === "pan"} title="dragging moves the film (h)" onClick={() => sitting.use("pan")}>pan</button>
      </span>
      <span class="group" role="group" aria-label="View">
        <button aria-label="zoom out" title="zoom out (-)" onClick={() => sitting.zoom(0.8)}>−</button>
        <button aria-label="zoom in" title="zoom in (+)" onClick={() => sitting.zoom(1.25)}>+</button>
        <button title="fit (f)" onClick={() => sitting.fit()}>fit</button>
        {switched("invert", "invert", "i")}
      </span>
      <span class="group" role="group" aria-label="Shown">
        {switched("lines", "constructions", "c")}{switched("ellipses", "uncertainty", "e")}{switched("names", "names", "l")}{switched("bare", "bare film", "b")}
      </span>
      <span class="group" role="group" aria-label="Corrections">
        <button disabled={!sitting.canUndo()} title="undo (u)" onClick={() => sitting.undo()}>undo</button>
        <button disabled={!sitting.canRedo()} title="redo (y)" onClick={() => sitting.redo()}>redo</button>
        <button disabled={sitting.film.version === 1} title="back to the prediction (r)" onClick={() => sitting.reset()}>reset</button>
      </span>
    </nav>
  );
}

function Exports({ sitting }: { sitting: Sitting }) {
  return (
    <details class="menu" onFocusOut={(event) => { if (!event.currentTarget.contains(event.relatedTarget as Node)) event.currentTarget.open = false; }}>
      <summary>Export</summary>
      <ul>{sitting.about.exports.map((format) => <li key={format}><a download href={api.exportPath(sitting.study.id, format, sitting.criteria)}>{format.toUpperCase()}</a></li>)}</ul>
    </details>
  );
}
