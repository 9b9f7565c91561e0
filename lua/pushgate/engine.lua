-- The engine: what fans frames out to the subscribers of this nginx. PUSHGATE_ENGINE names it; each
-- is a file of lua/pushgate/engine/, with what only it needs in a folder of that name, and a folder
-- of nginx/engines/.
--
-- What an engine does for the rest, and nothing else of it is used:
--
--   load()              called in the master, at a start and at each reload
--   start()             called in each worker when it starts
--   ready()             whether a subscription can begin (access). true; or nil and an error
--   has_room(wanted)    whether it has memory for so many channels more (access). true; or nil and
--                       an error
--   admit(subscriber)   lets a subscriber of subscribe.prepare() in (access), who is also
--                       ngx.ctx.subscriber until the request ends. From then on the
--                       engine calls subscribe.begin() once, when all of the subscriber's channels
--                       are registered, then subscribe.pass() for each block it has for it, and
--                       ends the stream when they say so
--   open()              a link, to hand entries over (timer); or nil and an error
--   link:hand_over(entries, from)
--                       hands over entries[from], entries[from + 1], ... in order, as many as make
--                       a batch; an entry is {names = list, block = bytes}. Returns how many were
--                       taken, and when that is not the whole batch: an error, and whether the
--                       first one not taken was refused for good
--   link:tell(names, comment)  a comment of sse/frames.lua to the subscribers of channels
--   link:tell_all(comment)     the same to every subscriber of this nginx
--   link:close()        after any error, open a new link
--   statistics(id)      of a channel, of several ("a/b"), of "ALL", of a prefix ("a*"), or "" for a
--                       summary, as a table with push-stream's fields. Returns an HTTP status and
--                       the table; or nil and an error
--
-- Every block an engine carries begins with "id: <cursor>", or is a comment. It may hand a block to
-- a subscriber twice, and hands each channel's blocks over in order.
--
-- Phases: all.

local config = require("pushgate.config")

local _M = {}

local chosen

-- The engine this gateway runs with.
function _M.get()
    if not chosen then
        chosen = require("pushgate.engine." .. config.get().engine)
    end
    return chosen
end

return _M
