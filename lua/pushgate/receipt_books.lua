-- What is counted of receipts, and how it is shown: receipts.lua counts what pages say, awaited.lua
-- what they should say.
--
-- Everything has a label, the prefix of the frame's first channel up to its first colon. Labels are
-- the site's own words: those of PUSHGATE_PUBLIC_PREFIXES, and up to MOST_PREFIXES more that frames
-- of the log brought; a client's word that is none of them counts as `other`, as does a channel
-- without a colon. What has been learnt lies in shared dict pushgate_state:
--   prefix:<prefix>   it is a label
--   prefixes          how many there are
--
-- Counters: receipts_expected:<prefix>, receipts_delivered:<prefix>, receipts:<outcome>:<prefix>,
-- receipts_refused:<reason>, paint:<bound>:<prefix>, paint_seconds:<prefix>. A prefix has no colon.
--
-- Phases: all.

local config = require("pushgate.config")
local counters = require("pushgate.counters")

local add = counters.add
local match = string.match
local state = ngx.shared.pushgate_state

local MOST_PREFIXES = 20
local MOST_LETTERS = 40
local OTHER = "other"
-- Upper bounds in seconds, of commit to paint.
local BOUNDS = { 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 5, 10, 30, 60, math.huge }
local BUCKETS = {}
for i, bound in ipairs(BOUNDS) do
    BUCKETS[i] = "paint:" .. (bound == math.huge and "+Inf" or tostring(bound)) .. ":"
end

local _M = { OTHER = OTHER, MOST_PREFIXES = MOST_PREFIXES }

-- Labels this worker knows of.
local labels

local function begin()
    labels = { [OTHER] = OTHER }
    for _, prefix in ipairs(config.get().public_prefixes) do
        prefix = match(prefix, "^[^:]+")
        if prefix then
            labels[prefix] = prefix
        end
    end
end

-- The label of a prefix that a client names.
function _M.label(prefix)
    if not labels then
        begin()
    end
    if not labels[prefix] and state:get("prefix:" .. prefix) then
        labels[prefix] = prefix
    end
    return labels[prefix] or OTHER
end

-- The label of a prefix that the log names: one more, if there is room.
function _M.learn(prefix)
    local label = _M.label(prefix)
    if label ~= OTHER or prefix == OTHER or (state:get("prefixes") or 0) >= MOST_PREFIXES then
        return label
    end
    if state:add("prefix:" .. prefix, true) then
        state:incr("prefixes", 1, 0)
    end
    return _M.label(prefix)
end

-- The prefix by which a frame's data line is counted. live/receipts.js has the same rule.
function _M.prefix_of(data)
    local prefix = match(data, '"channels":%s*%[%s*"([a-z0-9][a-z0-9_@.-]*):')
    return prefix and #prefix <= MOST_LETTERS and prefix or OTHER
end

function _M.expect(label)
    add("receipts_expected:" .. label)
end

function _M.deliver(label, amount)
    add("receipts_delivered:" .. label, amount)
end

function _M.book(outcome, label, amount)
    add("receipts:" .. outcome .. ":" .. label, amount)
end

function _M.refuse(reason)
    add("receipts_refused:" .. reason)
end

-- A frame was painted so many seconds after its commit.
function _M.paint(label, seconds)
    local i = 1
    while seconds > BOUNDS[i] do
        i = i + 1
    end
    add(BUCKETS[i] .. label)
    add("paint_seconds:" .. label, seconds)
end

-- The counters that begin with `start`, as a sorted list of {rest of the name, amount}.
local function counted(counts, start)
    local found = {}
    for name, amount in pairs(counts) do
        if name:sub(1, #start) == start then
            found[#found + 1] = { name:sub(#start + 1), amount }
        end
    end
    table.sort(found, function(a, b)
        return a[1] < b[1]
    end)
    return found
end

local function expose_paint(out, counts)
    local name = "pushgate_commit_to_paint_seconds"
    out:family(name, "histogram",
        "From a frame's time, by the site's clock, to its paint in a page that was live then.")
    for _, row in ipairs(counted(counts, "paint_seconds:")) do
        local amounts = {}
        for i, bucket in ipairs(BUCKETS) do
            amounts[i] = counts[bucket .. row[1]] or 0
        end
        out:buckets(name, BOUNDS, amounts, row[2], "prefix", row[1])
    end
end

-- Adds what `counts` has of receipts to an exposition.
function _M.expose(out, counts)
    out:family("pushgate_receipts_expected_total", "counter",
        "Frames sent to streams that promise receipts.")
    for _, row in ipairs(counted(counts, "receipts_expected:")) do
        out:sample("pushgate_receipts_expected_total", row[2], "prefix", row[1])
    end
    out:family("pushgate_receipts_delivered_total", "counter",
        "Frames that the browsers of such streams say have come.")
    for _, row in ipairs(counted(counts, "receipts_delivered:")) do
        out:sample("pushgate_receipts_delivered_total", row[2], "prefix", row[1])
    end
    out:family("pushgate_receipts_total", "counter",
        "What pages say became of such frames; several pages may share one stream.")
    for _, row in ipairs(counted(counts, "receipts:")) do
        local outcome, label = match(row[1], "^([^:]+):(.+)$")
        out:sample("pushgate_receipts_total", row[2], "outcome", outcome, "prefix", label)
    end
    out:family("pushgate_receipts_refused_total", "counter",
        "Requests with receipts that were not taken; time: single receipts.")
    for _, row in ipairs(counted(counts, "receipts_refused:")) do
        out:sample("pushgate_receipts_refused_total", row[2], "reason", row[1])
    end
    expose_paint(out, counts)
end

return _M
