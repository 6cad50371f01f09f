/** The options of a subcommand, as data: what `--help`, parsing and the types of what is parsed come from. */

/** An option that is there or not. */
export interface Flag {
  /** What it does, in a few words. */
  about: string;
  placeholder?: undefined;
  /** Whether it has something else done instead of the command's work: then no variable stands for it. */
  instead?: true;
}

/** An option with a value. */
export interface ValueOption {
  /** Stands for the value in the help, in capitals. */
  placeholder: string;
  /** What it does, in a few words. */
  about: string;
  /**
   * Reads the value; without it, the value is the text.
   * @throws {UserError} with what the value must be
   */
  read?: (text: string) => unknown;
  /** The only values that there are. */
  choices?: readonly string[];
  /** The value when it is not given, as one would write it. */
  default?: string;
  /** Whether it may be given several times. */
  repeatable?: true;
  /**
   * The environment variable that is used when it is not given; an empty one counts as none. That of an
   * option that is repeatable has its values with white space between them.
   */
  environment?: string;
}

/** One option. */
export type Option = Flag | ValueOption;

/** Options by their names, as they are written after `--`. */
export type Options = Readonly<Record<string, Option>>;

type ReadOf<O> = O extends { read: (text: string) => infer T } ? T
  : O extends { choices: readonly (infer C)[] } ? C
  : string;

type ValueOf<O> = O extends { repeatable: true } ? ReadOf<O>[]
  : O extends { default: string } ? ReadOf<O>
  : O extends { placeholder: string } ? ReadOf<O> | undefined
  : boolean;

/** What comes of options on a command line, by their names. */
export type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };
