// What a story has started ends with its test: the last first, and the rest too if one of them fails.

const ends = new WeakMap();

/** Does it when the test `t` ends. */
export function atEnd(t, end) {
  if (!ends.has(t)) {
    ends.set(t, []);
    t.after(async () => {
      const failures = [];
      for (const last of ends.get(t).reverse()) await Promise.resolve().then(last).catch((error) => failures.push(error));
      if (failures.length) throw new AggregateError(failures, 'what the story started did not end cleanly');
    });
  }
  ends.get(t).push(end);
}
