/** The options of a subcommand, as data: the help, the parser and the types of what it gives come from them. */

/** An option without a value. */
export interface Flag {
  /** What it does, in a few words. */
  about: string;
  placeholder?: undefined;
  /** Whether something else is done instead of the command's work: then no environment variable stands for it. */
  instead?: true;
}

/** An option with a value. */
export interface ValueOption {
  /** What stands for the value in the help, in capitals. */
  placeholder: string;
  /** What it does, in a few words. */
  about: string;
  /**
   * Reads the value; without it, the value is the text.
   * @throws {UserError} with what the value must be
   */
  read?: (text: string) => unknown;
  /** The only values that are accepted. */
  choices?: readonly string[];
  /** The value when it is not given, as one would write it. */
  default?: string;
  /** Whether it may be given several times. */
  repeatable?: true;
  /**
   * The environment variable that is used when the option is not given; an empty one counts as none. Where the
   * option may be repeated, the variable has its values with white space between them.
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

/** The values of options on a command line, by the options' names. */
export type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };
