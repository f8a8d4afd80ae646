/** The desk's page: who is there, and which of its two views. */

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, Refused, type About } from "./api";
import { Desk } from "./Desk";
import { Sheet } from "./Dialogs";
import { Worklist } from "./Worklist";
import "./style.css";

const place = () => /^#\/study\/([0-9a-f]{32})$/.exec(location.hash)?.[1] ?? null;

function Page() {
  const [about, setAbout] = useState<About | null>(null);
  const [locked, setLocked] = useState(false);
  const [problem, setProblem] = useState("");
  const [study, setStudy] = useState(place());
  const [name, setName] = useState(localStorage.getItem("author") ?? "");
  const [asking, setAsking] = useState<(() => void) | null>(null);

  const enter = async (token?: string) => {
    try {
      if (token) await api.session(token);
      setAbout(await api.about());
      setLocked(false);
    } catch (why) {
      if (why instanceof Refused && why.status === 401) setLocked(true);
      setProblem(token || !(why instanceof Refused && why.status === 401) ? String(why instanceof Error ? why.message : why) : "");
    }
  };
  useEffect(() => {
    const token = /^#token=(.+)$/.exec(location.hash)?.[1];
    if (token) history.replaceState(null, "", "/");
    void enter(token ? decodeURIComponent(token) : undefined);
    const onHash = () => setStudy(place());
    window.addEventListener("hashchange", onHash);
    return () => window.removeEventListener("hashchange", onHash);
  }, []);

  if (locked) return <Locked problem={problem} enter={(token) => void enter(token)} />;
  if (!about) return <main class="waiting"><p role="status">{problem || "Opening …"}</p></main>;
  const author = () => about.author ?? name;
  const go = (id: string | null) => { location.hash = id ? `#/study/${id}` : "#/"; };
  const open = (id: string) => (author() ? go(id) : setAsking(() => () => go(id)));
  const leave = async (where: "next" | "worklist") => {
    if (where === "worklist") return go(null);
    const query = new URLSearchParams({ limit: "1000" });
    for (const status of ["open", "changed"]) query.append("status", status);
    const { studies } = await api.worklist(query);
    const at = studies.findIndex((one) => one.id === study);
    go((studies[at + 1] ?? studies.find((one) => one.id !== study))?.id ?? null);
  };
  return (
    <>
      {study && author() ? <Desk key={study} id={study} about={about} author={author} leave={(where) => void leave(where)} />
        : <Worklist about={about} author={() => author() || "somebody"} open={open} rename={() => setAsking(() => () => undefined)} theme={theme} />}
      {(asking !== null || (study !== null && !author())) && <Who name={name} close={() => { setAsking(null); if (!author()) go(null); }} named={(said) => { localStorage.setItem("author", said); setName(said); asking?.(); setAsking(null); }} />}
    </>
  );
}

function Who({ name, named, close }: { name: string; named: (name: string) => void; close: () => void }) {
  const [said, say] = useState(name);
  return (
    <Sheet title="Who is at the desk?" close={close}>
      <form onSubmit={(event) => { event.preventDefault(); if (said.trim()) named(said.trim()); }}>
        <label class="field">Name, as it is to stand beside corrections and sign-offs<input autofocus required maxLength={80} value={said} onInput={(event) => say(event.currentTarget.value)} /></label>
        <div class="actions"><button class="main">That is me</button></div>
      </form>
    </Sheet>
  );
}

function Locked({ problem, enter }: { problem: string; enter: (token: string) => void }) {
  const [token, setToken] = useState("");
  return (
    <main class="waiting">
      <h1>lumbar reading desk</h1>
      <form onSubmit={(event) => { event.preventDefault(); enter(token); }}>
        <label class="field">Token<input type="password" autocomplete="current-password" autofocus required value={token} onInput={(event) => setToken(event.currentTarget.value)} /></label>
        <button class="main">Open</button>
        {problem && <p class="doubt" role="alert">{problem}</p>}
      </form>
    </main>
  );
}

function theme(): void {
  const root = document.documentElement;
  root.dataset["theme"] = root.dataset["theme"] === "light" ? "dark" : "light";
  localStorage.setItem("theme", root.dataset["theme"]);
}

document.documentElement.dataset["theme"] = localStorage.getItem("theme") ?? "dark";
render(<Page />, document.getElementById("desk")!);
