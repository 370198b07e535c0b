/** What follows from an event: the next state, and what is to be done, in this order. */
export interface Step<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
}

interface NamedState {
  readonly name: string;
}

interface NamedEvent {
  readonly event: string;
}

/** What each state does with each event. It does not compile while a cell is missing. */
export type StateTable<State extends NamedState, Event extends NamedEvent, Effect> = {
  readonly [S in State["name"]]: {
    readonly [E in Event["event"]]: (
      state: State & { readonly name: S },
      event: Event & { readonly event: E },
    ) => Step<State, Effect>;
  };
};

/** The pure function that a table is: takes a state and an event, changes neither. */
export function stepOf<State extends NamedState, Event extends NamedEvent, Effect>(
  table: StateTable<State, Event, Effect>,
): (state: State, event: Event) => Step<State, Effect> {
  type Cell = (state: State, event: Event) => Step<State, Effect>;
  const rows: Readonly<Record<string, Readonly<Record<string, unknown>>>> = table;
  return (state, event) => {
    const cell = rows[state.name]?.[event.event] as Cell;
    return cell(state, event);
  };
}

/** A cell of an event that changes nothing. */
export function stay<State>(state: State): Step<State, never> {
  return { state, effects: [] };
}

/** A cell of an event that cannot come in this state. Throws. */
export function impossible(state: NamedState, event: NamedEvent): never {
  throw new Error(`${event.event} cannot happen in the state ${state.name}`);
}
