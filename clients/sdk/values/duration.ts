/** A span of time like Python's `timedelta`, exact to the microsecond within a century. */
export class Duration {
  readonly milliseconds: number;

  constructor(milliseconds: number) {
    if (!Number.isFinite(milliseconds)) throw new RangeError("A duration has to be a finite number.");
    this.milliseconds = Math.round(milliseconds * 1_000) / 1_000;
  }

  static of(parts: {
    days?: number;
    hours?: number;
    minutes?: number;
    seconds?: number;
    milliseconds?: number;
  }): Duration {
    const hours = (parts.days ?? 0) * 24 + (parts.hours ?? 0);
    const seconds = (hours * 60 + (parts.minutes ?? 0)) * 60 + (parts.seconds ?? 0);
    return new Duration(seconds * 1_000 + (parts.milliseconds ?? 0));
  }

  static seconds(seconds: number): Duration {
    return new Duration(seconds * 1_000);
  }

  static milliseconds(milliseconds: number): Duration {
    return new Duration(milliseconds);
  }

  get seconds(): number {
    return this.milliseconds / 1_000;
  }

  toString(): string {
    return `${this.seconds} s`;
  }

  toJSON(): number {
    return this.seconds;
  }
}
