// The page's end of the stream. A page imports this one module; no dependency, no build step.
//
//   import { connect } from "/static/django_hooks/live.js";
//   const connection = connect({
//     gateway: "https://push.example.org",       // "" for the page's own origin
//     channels: ["thread:42"],                   // 1-16 names
//     cursor: "{% push_cursor %}",               // taken before the page's query
//     types: ["comment.created"],                // what to listen for
//     onEvent: ({ type, data, id }) => {},       // each event once, an object's in order
//     onReset: async ({ reason }) => {},         // the stream has a gap: read the data anew
//     onState: (state) => {},                    // "live", "catching up" or "stale"
//     pauseHidden: false,                        // true: no stream while the tab is hidden
//     share: true,                               // false: a connection of this page's own
//     credentials: false,                        // true: send cookies to another origin
//     token: "",                                 // or a function that fetches one; never shared
//     renew: "",                                 // asked for a new cookie if it is refused
//     receipts: 0,                               // share of connections that say what was painted
//   });
//   connection.state; connection.cursor; connection.close();
//
// All tabs of the site share one connection: see live/circle.js. `<live-list>`, for those who write
// no JavaScript, is in live/list.js.

import { LiveList } from "./live/list.js";

export { connect } from "./live/connection.js";

if (!customElements.get("live-list")) customElements.define("live-list", LiveList);
