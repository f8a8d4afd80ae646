/** Sheets over the desk: the browser's own dialogs, which keep the focus and close with Escape. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { KEYS } from "./keys";
import type { Sitting } from "./sitting";

export function Sheet({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current!.showModal(); }, []);
  return (
    <dialog ref={dialog} aria-label={title} onClose={close} onClick={(event) => { if (event.target === dialog.current) close(); }}>
      <header><h2>{title}</h2><button class="plain" aria-label="close" onClick={close}>✕</button></header>
      {children}
    </dialog>
  );
}

export function Help({ close }: { close: () => void }) {
  const groups = [...new Set(KEYS.map((entry) => entry.group))];
  return (
    <Sheet title="Keys" close={close}>
      <div class="keys">
        {groups.map((group) => (
          <section key={group}><h3>{group}</h3><dl>
            {KEYS.filter((entry) => entry.group === group).map((entry) => (
              <div key={entry.keys}><dt>{entry.keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{entry.does}</dd></div>
            ))}
          </dl></section>
        ))}
      </div>
      <p class="muted small">Mouse: drag a corner to move it, elsewhere to set the window; right button or Shift moves the film, the wheel zooms.
        Touch: one finger as the mouse, two fingers move and zoom. Corners blue: predicted; green: placed by a person.
        Endplates yellow, posterior wall’s line orange, displacement red.</p>
    </Sheet>
  );
}

export function SignSheet({ sitting, signed }: { sitting: Sitting; signed: (next: boolean) => void }) {
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState(false);
  const sign = async (next: boolean) => {
    setBusy(true);
    if (await sitting.sign(comment)) signed(next);
    else setBusy(false);
  };
  const unstable = sitting.study.motion?.levels.filter((row) => row.verdict === "unstable").map((row) => row.site) ?? [];
  return (
    <Sheet title="Sign off" close={() => sitting.close()}>
      <form onSubmit={(event) => { event.preventDefault(); void sign(true); }}>
        <p>{sitting.author()} signs <b>{sitting.study.name}</b> as it stands:{" "}
          {sitting.study.films.map((film) => `${film.posture ?? film.name} version ${film.version}`).join(", ")}.
          {unstable.length > 0 && <> Unstable by “{sitting.criteria}”: {unstable.join(", ")}.</>}</p>
        <label class="field">Comment<textarea rows={3} maxLength={2000} value={comment} onInput={(event) => setComment(event.currentTarget.value)} /></label>
        <p class="muted small">{sitting.about.notice}</p>
        {sitting.alarm && <p class="doubt" role="alert">{sitting.alarm}</p>}
        <div class="actions">
          <button type="submit" class="main" disabled={busy} autofocus>Sign, next study</button>
          <button type="button" disabled={busy} onClick={() => void sign(false)}>Sign and stay</button>
        </div>
      </form>
    </Sheet>
  );
}
