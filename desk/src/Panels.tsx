/** What was measured, beside the films: motion and its verdicts, the figures of the film at hand, its corners and its history. */

import { useEffect, useState } from "preact/hooks";
import { api, type Film, type Motion, type MotionRow, type Verdict, type Version } from "./api";
import { cornersOf, inWords, VERTEBRAE } from "./anatomy";
import type { Sitting } from "./sitting";
import { capital, moment } from "./words";

const MARK: Record<Verdict, string> = { stable: "✓", unstable: "▲", undetermined: "?" };

export function Chip({ verdict, probability }: { verdict: Verdict; probability?: string }) {
  return (
    <>
      <span class={`chip ${verdict}`}><span aria-hidden="true">{MARK[verdict]}</span> {verdict}</span>
      {probability && probability !== "–" && <small class="error"> P(unstable) {probability}</small>}
    </>
  );
}

/** A figure as the server words it, with its error on a line of its own: "+0.3 ± 1.2 mm" needs half the width so. */
function Figure({ text, why }: { text: string; why?: string }) {
  const [, value, error, unit] = /^(\S+) ± (\d+(?:\.\d+)?)(.*)$/.exec(text) ?? [];
  if (text === "–" && why) return <abbr title={why}>–</abbr>;
  return value ? <>{value}{unit} <small class="error">± {error}</small></> : <>{text}</>;
}

export function Panels({ sitting }: { sitting: Sitting }) {
  const { study, film } = sitting;
  const short = { "sagittal displacement (wall)": "SD wall", "sagittal displacement (endplate)": "SD endplate", "intervertebral angle": "angle" } as Record<string, string>;
  return (
    <>
      {sitting.about.annotate && <Corners sitting={sitting} />}
      {sitting.several && study.motion && <MotionPanel sitting={sitting} motion={study.motion} />}
      <section class="panel" aria-label="Measurements of this film">
        <h2>{capital(film.posture ?? film.name)}<span class="muted"> this film alone</span></h2>
        <div class="scroll">
          <table class="figures">
            <thead><tr><th scope="col">level</th>{film.headings.map((heading) => <th scope="col" key={heading} title={heading}>{short[heading] ?? heading}</th>)}<th scope="col">Meyerding</th></tr></thead>
            <tbody>
              {film.levels.map((row) => (
                <tr key={row.site} class={row.site === sitting.site ? "chosen" : ""} data-site={row.site}>
                  <th scope="row"><button class="plain" aria-pressed={row.site === sitting.site} onClick={() => sitting.selectSite(row.site)}>{row.site}</button></th>
                  {row.figures.map(([text, why], i) => <td key={i}><Figure text={text} why={why} /></td>)}
                  <td class={row.slipped ? "slipped" : ""}>{row.grade}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <dl class="whole">{film.whole.map(([heading, text]) => <div key={heading}><dt>{heading}</dt><dd>{text}</dd></div>)}</dl>
        {film.wedged.length > 0 && <p class="doubt">Wedged: {film.wedged.join("; ")}</p>}
        {film.further.map((table) => (
          <details key={table.name}>
            <summary>{table.name}</summary>
            <div class="scroll"><table class="figures">
              <thead><tr><th scope="col"><span class="unseen">site</span></th>{table.headings.map((h) => <th scope="col" key={h}>{h}</th>)}</tr></thead>
              <tbody>{table.rows.map(([site, texts]) => <tr key={site}><th scope="row">{site}</th>{texts.map((text, i) => <td key={i}>{text}</td>)}</tr>)}</tbody>
            </table></div>
          </details>
        ))}
      </section>
      <Doubts film={film} motion={study.motion} />
      {!sitting.about.annotate && <Corners sitting={sitting} />}
      <About sitting={sitting} />
      <History film={film} sitting={sitting} />
    </>
  );
}

function MotionPanel({ sitting, motion }: { sitting: Sitting; motion: Motion }) {
  const criteria = sitting.about.criteria.find((entry) => entry.name === motion.criteria);
  const chosen = motion.levels.find((row) => row.site === sitting.site);
  return (
    <section class="panel motion" aria-label="Motion between flexion and extension">
      <h2>Flexion – extension
        <label class="inline"><span class="unseen">Criteria of stability</span>
          <select value={motion.criteria} onChange={(event) => void sitting.judgeBy(event.currentTarget.value)}>
            {sitting.about.criteria.filter((entry) => entry.name).map((entry) => <option key={entry.name} value={entry.name}>{entry.name}</option>)}
          </select>
        </label>
      </h2>
      {motion.reason && <p class="doubt">{motion.reason}</p>}
      {motion.levels.length > 0 && (
        <div class="scroll">
          <table class="figures">
            <thead><tr><th scope="col">level</th><th scope="col" class="verdict">verdict</th><th scope="col">translation</th><th scope="col">rotation</th><th scope="col">slip</th></tr></thead>
            <tbody>
              {motion.levels.map((row) => (
                <tr key={row.site} class={row.site === sitting.site ? "chosen" : ""} data-site={row.site}>
                  <th scope="row"><button class="plain" aria-pressed={row.site === sitting.site} onClick={() => sitting.selectSite(row.site)}>{row.site}</button></th>
                  <td class="verdict"><Chip verdict={row.verdict} probability={row.probability} /></td>
                  <td><Figure text={row.translation} /></td><td><Figure text={row.angulation} /></td><td title={`${row.grade}, on the ${row.slip_film} film`}><Figure text={row.slip} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {chosen ? <EveryCriteria row={chosen} sitting={sitting} /> : (
        <p class="muted small">{criteria?.rule}. ± is one standard error; a verdict needs a probability of 0.9. Choose a level to see every criteria.</p>
      )}
    </section>
  );
}

function EveryCriteria({ row, sitting }: { row: MotionRow; sitting: Sitting }) {
  return (
    <div class="every">
      <h3>{row.site}: {row.grade}{row.grade !== "–" && <span class="muted"> on the {row.slip_film} film</span>}</h3>
      <dl>
        {row.by_criteria.map((said) => {
          const rule = sitting.about.criteria.find((entry) => entry.name === said.criteria)?.rule;
          return <div key={said.criteria}><dt>{said.criteria}</dt><dd><Chip verdict={said.verdict} probability={said.probability} /></dd><dd class="rule muted small">{rule}{said.reason && !said.reason.startsWith("neither") && `; ${said.reason}`}</dd></div>;
        })}
      </dl>
      <p class="muted small">{sitting.about.criteria.find((entry) => !entry.name)?.rule}</p>
    </div>
  );
}

function Doubts({ film, motion }: { film: Film; motion: Motion | null }) {
  const doubts = [...new Set([...film.warnings, ...(motion?.warnings ?? [])])];
  if (!doubts.length && !film.reasons.length) return null;
  return (
    <section class="panel" aria-label="To doubt">
      <h2>To doubt</h2>
      {doubts.length > 0 && <ul class="doubts">{doubts.map((doubt) => <li key={doubt} class="doubt">{doubt}</li>)}</ul>}
      {film.reasons.length > 0 && (
        <details open={film.reasons.length < 3}><summary class="muted">Not measured</summary>
          <ul class="doubts">{film.reasons.map((reason) => <li key={reason} class="muted">{reason}</li>)}</ul>
        </details>
      )}
    </section>
  );
}

function Corners({ sitting }: { sitting: Sitting }) {
  const { film } = sitting;
  const moved = new Set(film.moved);
  const ends = ["ant", "post", "ant", "post"];
  return (
    <section class="panel" aria-label="Corners">
      <h2>Corners
        <span class="group" role="group" aria-label="Shift the names of the vertebrae">
          <button onClick={() => sitting.shift("up")} title="every vertebra takes the name of the one above (PageUp)">names ▲</button>
          <button onClick={() => sitting.shift("down")} title="every vertebra takes the name of the one below (PageDown)">names ▼</button>
        </span>
      </h2>
      <table class="corners">
        <thead><tr><th scope="col"><span class="unseen">vertebra</span></th><th scope="col" colSpan={2}>superior</th><th scope="col" colSpan={2}>inferior</th><th scope="col"><span class="unseen">absent</span></th></tr></thead>
        <tbody>
          {VERTEBRAE.map((vertebra) => (
            <tr key={vertebra}>
              <th scope="row">{vertebra}</th>
              {cornersOf(vertebra).map((corner, i) => (
                <td key={corner}>
                  <button class={`mini${moved.has(corner) ? " moved" : ""}${film.corners[corner] ? "" : " absent"}`} aria-pressed={sitting.corner === corner}
                    aria-label={`${inWords(corner)}, ${film.corners[corner] ? (moved.has(corner) ? "placed by a person" : "predicted") : "absent"}`} onClick={() => sitting.select(corner)}>
                    {film.corners[corner] ? ends[i] : "+ " + ends[i]}
                  </button>
                </td>
              ))}
              {vertebra === "S1" && <td colSpan={2} />}
              <td><button class="mini quiet" aria-label={`${vertebra} is not on the film`} onClick={() => sitting.absentVertebra(vertebra)}>absent</button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function About({ sitting }: { sitting: Sitting }) {
  const { film } = sitting;
  const [mm, setMm] = useState("");
  return (
    <section class="panel" aria-label="The film">
      <h2>The film</h2>
      <dl class="about">
        <div><dt>pixel spacing</dt><dd>{film.spacing}
          {film.spacing === "unknown" && (
            <form class="inline" onSubmit={(event) => { event.preventDefault(); const size = Number(mm); if (size > 0) sitting.say({ action: "spacing", row_mm: size, column_mm: size }); }}>
              <label><span class="unseen">pixel spacing at the patient in mm</span><input inputMode="decimal" placeholder="mm" size={5} value={mm} onInput={(event) => setMm(event.currentTarget.value)} /></label> <button>set</button>
            </form>
          )}
        </dd></div>
        <div><dt>anterior</dt><dd>{film.anterior} ({film.facing_source}) <button class="mini quiet" onClick={() => sitting.say({ action: "turn" })}>turn round</button></dd></div>
        <div><dt>posture</dt><dd>
          <label><span class="unseen">posture</span>
            <select value={film.posture ?? ""} onChange={(event) => sitting.say({ action: "posture", posture: event.currentTarget.value || null })}>
              <option value="">not said</option><option>flexion</option><option>neutral</option><option>extension</option>
            </select>
          </label>{film.posture_source && <span class="muted"> {film.posture_source}</span>}</dd></div>
        <div><dt>size</dt><dd>{film.width} × {film.height}</dd></div>
        <div><dt>confidence</dt><dd>{film.confidence.toFixed(2)} <span class="muted">the networks’ own score</span></dd></div>
      </dl>
    </section>
  );
}

function History({ film, sitting }: { film: Film; sitting: Sitting }) {
  const [versions, setVersions] = useState<Version[]>([]);
  const [open, setOpen] = useState(false);
  useEffect(() => { if (open) void api.versions(film.id).then(setVersions, () => undefined); }, [open, film.id, film.version]);
  return (
    <section class="panel" aria-label="History">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>History: version {film.version}</summary>
        <ol class="history" reversed>
          {[...versions].reverse().map((entry) => (
            <li key={entry.version}><b>v{entry.version}</b> {entry.what}<br /><span class="muted">{entry.author}, {moment(entry.made_at)}</span>
              {entry.version !== film.version && <button class="mini quiet" onClick={() => sitting.say({ action: "restore", version: entry.version })}>back to this</button>}</li>
          ))}
        </ol>
      </details>
      {sitting.study.sign_offs.length > 0 && (
        <ul class="history">{sitting.study.sign_offs.map((off) => <li key={off.made_at}>✓ signed by <b>{off.author}</b>, {moment(off.made_at)}{off.comment && <q>{off.comment}</q>}</li>)}</ul>
      )}
    </section>
  );
}
