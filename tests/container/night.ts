/** The tests with real containers for which there is no time in every run: other privileges, servers, and pods. */

import "./privileges.ts";
import "./servers.ts";
import "./kube.ts";
