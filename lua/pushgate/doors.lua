-- Who may subscribe to what.
--
-- Phase: access. Channels under a public prefix are everybody's.

local channels = require("pushgate.channels")
local config = require("pushgate.config")
local refusal = require("pushgate.refusal")

local _M = {}

-- Answers the request itself when the client may not subscribe to all of `requested` (a list of
-- {name, backlog}). Returns who it is, or nil for nobody in particular.
function _M.open(requested)
    for _, channel in ipairs(requested) do
        if not channels.has_prefix(channel.name, config.get().public_prefixes) then
            return refusal.for_good(403, "channel", "channel " .. channels.shown(channel.name)
                .. " is not public")
        end
    end
    return nil
end

return _M
