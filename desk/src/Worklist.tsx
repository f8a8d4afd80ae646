/** The worklist: the most doubtful of the studies that nobody signed first. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api, type About, type Listed, type Status, type Worklist as Page } from "./api";
import { STATUS, moment } from "./words";

const FILTERS: [string, Status[]][] = [
  ["to do", ["open", "changed", "failed", "waiting"]], ["signed", ["signed"]], ["all", []],
];
const POLL_MS = 1500;

export function Worklist({ about, author, open, rename, theme }: { about: About; author: () => string; open: (id: string) => void; rename: () => void; theme: () => void }) {
  const [page, setPage] = useState<Page | null>(null);
  const [filter, setFilter] = useState(0);
  const [name, setName] = useState("");
  const [flagged, setFlagged] = useState(false);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState("");
  const [at, setAt] = useState(0);
  const [over, setOver] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  const asked = useRef(0);

  const load = async () => {
    const mine = ++asked.current; // an answer to an older question, such as another filter's, comes too late
    const query = new URLSearchParams({ name });
    for (const status of FILTERS[filter]![1]) query.append("status", status);
    if (flagged) query.set("flagged", "true");
    try {
      const answer = await api.worklist(query);
      if (mine !== asked.current) return;
      setPage(answer);
      setProblem("");
    } catch (why) {
      if (mine === asked.current) setProblem(String(why instanceof Error ? why.message : why));
    }
  };
  useEffect(() => { void load(); }, [filter, name, flagged]);
  useEffect(() => {
    if (!page?.counts.waiting) return;
    const timer = setTimeout(() => void load(), POLL_MS);
    return () => clearTimeout(timer);
  }, [page]);

  const add = async (files: FileList | File[] | null) => {
    if (!files?.length) return;
    const form = new FormData();
    for (const file of files) form.append("films", file);
    form.append("author", author());
    await sending(`sending ${files.length} film${files.length > 1 ? "s" : ""} …`, () => api.upload(form));
  };
  const sending = async (what: string, send: () => Promise<unknown>) => {
    setBusy(what);
    setProblem("");
    try {
      await send();
      await load();
    } catch (why) {
      setProblem(String(why instanceof Error ? why.message : why));
    }
    setBusy("");
  };

  const studies = page?.studies ?? [];
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).matches("input, select, textarea");
      if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
      const moves: Record<string, () => void> = {
        ArrowDown: () => setAt(Math.min(at + 1, studies.length - 1)), j: () => setAt(Math.min(at + 1, studies.length - 1)),
        ArrowUp: () => setAt(Math.max(at - 1, 0)), "/": () => document.querySelector<HTMLInputElement>("#find")?.focus(),
        a: () => chooser.current?.click(), d: theme,
      };
      if (event.key === "Enter" && !(event.target as HTMLElement).matches("button, a, summary") && studies[at]) open(studies[at].id);
      else if (moves[event.key]) moves[event.key]!();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [studies, at]);

  return (
    <main class={`worklist${over ? " over" : ""}`} onDragOver={(event) => { event.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
      onDrop={(event) => { event.preventDefault(); setOver(false); void add(event.dataTransfer?.files ?? null); }}>
      <header class="bar">
        <img src="/assets/icon.svg" alt="" width="26" height="26" />
        <h1>{about.annotate ? "Films to mark" : "Worklist"}</h1>
        <span class="space" />
        <button class="plain" onClick={theme} aria-label="dark or light">◐</button>
        <button class="plain" onClick={rename} disabled={about.author !== null} title="who corrects and signs">{author() || "your name"}</button>
        {!about.annotate && (
          <>
            <button class="main" onClick={() => chooser.current?.click()} aria-keyshortcuts="a">Add films</button>
            <input ref={chooser} type="file" multiple class="unseen" tabIndex={-1} aria-label="films of one study" onChange={(event) => { void add(event.currentTarget.files); event.currentTarget.value = ""; }} />
          </>
        )}
      </header>
      <div class="filters">
        <span class="group" role="group" aria-label="Status">
          {FILTERS.map(([text, statuses], i) => {
            const count = statuses.length ? statuses.reduce((sum, s) => sum + (page?.counts[s] ?? 0), 0) : Object.values(page?.counts ?? {}).reduce((a, b) => a + b, 0);
            return <button key={text} aria-pressed={i === filter} onClick={() => { setFilter(i); setAt(0); }}>{text} <small>{count}</small></button>;
          })}
        </span>
        <label><span class="unseen">find by name</span><input id="find" type="search" placeholder="find  /" value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <button aria-pressed={flagged} onClick={() => setFlagged(!flagged)}>flagged only</button>
        <span role="status" class="muted">{busy}</span>
      </div>
      {problem && <p class="alarm" role="alert">{problem}</p>}
      {page && studies.length === 0 && <Empty about={about} any={Object.keys(page.counts).length > 0} example={() => void sending("adding the example …", () => api.example(author()))} />}
      {studies.length > 0 && (
        <div class="scroll">
          <table class="list">
            <thead><tr><th scope="col">study</th><th scope="col">status</th><th scope="col">quality</th><th scope="col" class="number" title="What makes a reading doubtful, summed; the list is in this order">doubt</th><th scope="col" class="number">films</th><th scope="col">added</th></tr></thead>
            <tbody>{studies.map((study, i) => <Row key={study.id} study={study} chosen={i === at} open={() => open(study.id)} />)}</tbody>
          </table>
        </div>
      )}
      <p class="notice">{about.notice} <span class="muted">lumbar {about.version}</span></p>
    </main>
  );
}

function Row({ study, chosen, open }: { study: Listed; chosen: boolean; open: () => void }) {
  return (
    <tr class={chosen ? "chosen" : ""} onClick={open}>
      <th scope="row"><button class="plain" onClick={(event) => { event.stopPropagation(); open(); }}>{study.name}</button></th>
      <td><span class={`status ${study.status}`}>{STATUS[study.status]}</span>{study.signed_by && <small class="muted"> {study.signed_by}</small>}</td>
      <td>{study.problem ? <span class="flag">{study.problem}</span> : study.flags.length ? study.flags.map((flag) => <span class="flag" key={flag}>{flag}</span>) : study.status === "waiting" ? "" : <span class="muted">no flag</span>}</td>
      <td class="number">{study.status === "waiting" || study.status === "failed" ? "–" : study.doubt.toFixed(1)}</td>
      <td class="number">{study.films}</td>
      <td class="muted">{moment(study.added_at)}</td>
    </tr>
  );
}

function Empty({ about, any, example }: { about: About; any: boolean; example: () => void }) {
  if (any) return <div class="empty"><h2>Nothing here</h2><p class="muted">No study matches, or all are done.</p></div>;
  return (
    <div class="empty">
      <h2>No study yet</h2>
      {about.annotate ? <p>The folder’s films appear here when they are opened.</p> : (
        <>
          <p>Drop the films of one patient here: one to three, DICOM, PNG, JPEG or TIFF.</p>
          <button class="main" onClick={example}>Add the example study</button>
          <p class="muted small">A simulated patient in flexion, neutral and extension.</p>
        </>
      )}
    </div>
  );
}
