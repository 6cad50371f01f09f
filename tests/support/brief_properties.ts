/** To be loaded before tests that run in an emulator, or are to be quick: each property gets a second. */

import fc from "fast-check";

fc.configureGlobal({ interruptAfterTimeLimit: 1000 });
