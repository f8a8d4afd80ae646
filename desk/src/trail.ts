/** Undo and redo over versions that are never overwritten: going back makes a new version that holds an old one's corners. */

export class Trail {
  private steps: number[];
  private at: number;

  /** All versions of a film up to `newest` are steps that can be undone, also those of another day. */
  constructor(newest: number) {
    this.steps = Array.from({ length: newest }, (_, i) => i + 1);
    this.at = newest - 1;
  }

  /** The version to restore for undo; null where there is none. */
  get before(): number | null { return this.steps[this.at - 1] ?? null; }

  /** The version to restore for redo; null where there is none. */
  get after(): number | null { return this.steps[this.at + 1] ?? null; }

  /** A correction made `version`: what was undone before it cannot be redone. */
  made(version: number): void {
    this.steps = [...this.steps.slice(0, this.at + 1), version];
    this.at++;
  }

  /** Undo or redo made `version`, which now stands for the step that it went to. */
  went(which: "before" | "after", version: number): void {
    this.at += which === "before" ? -1 : 1;
    this.steps[this.at] = version;
  }
}
