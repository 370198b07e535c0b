// What Tandem uses of Node 24 that Node 22 lacks. `tandem` imports it on a Node that lacks them.
// The client uses none of them. `using` itself is translated when the package is built.
import "core-js/actual/async-disposable-stack/index.js";
import "core-js/actual/disposable-stack/index.js";
import "core-js/actual/regexp/escape.js";
