-- What Redis holds where a frame should be and is none: passed over, counted, and said, but not so
-- often that the log is full of it.
--
-- Phases: all.

local counters = require("pushgate.counters")

local state = ngx.shared.pushgate_state

local SAY_SECONDS = 60

local _M = {}

-- Counts one more. `where` is one of a few fixed words, `what` names it for the log.
function _M.pass_over(where, what)
    counters.add("malformed:" .. where)
    local count = state:incr("garbage:" .. where, 1, 0)
    if state:add("garbage:said:" .. where, true, SAY_SECONDS) then
        ngx.log(ngx.ERR, "passed over ", what, ", which is no frame; so far ", count, " in the ",
            where, ", said once a minute")
    end
end

return _M
