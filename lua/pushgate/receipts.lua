-- POST /receipts: pages say what became of the frames they promised receipts for.
--
-- Phase: content of locations/receipts.conf, on the public listener. The body is text, so that a
-- page of another origin may send it unasked:
--
--   pushgate-receipts 1
--   <outcome> <prefix> <count>
--   painted <prefix> <at> <ago> <open>
--
-- with `delivered` (the stream brought them; said once for a stream), and of each page that it was
-- told to: `hidden`, `failed`, `known`, `untimed`. `at` is the frame's own time in milliseconds
-- since 1970, `ago` how many milliseconds before the sending it was painted, `open` how many before
-- it its stream was opened. So no browser's clock is believed: the paint was at this gateway's
-- `now` less `ago`, later than the truth by the time the receipt was under way. A frame from before
-- its stream was opened was caught up on, and says nothing of how fast frames come.
--
-- Anybody may send anything here, so everything is bounded, and nothing but counters is touched.

local answer = require("pushgate.answer")
local books = require("pushgate.receipt_books")
local config = require("pushgate.config")
local limits = require("pushgate.limits")
local origins = require("pushgate.origins")

local find = string.find
local match = string.match
local sub = string.sub
local tonumber = tonumber

local HEAD = "pushgate-receipts 1"
local MOST_LINES = 512
local OUTCOMES = { hidden = true, failed = true, known = true, untimed = true }
local PREFIX = "([a-z0-9][a-z0-9_@.-]*)"
local COUNT = "^([a-z]+) " .. PREFIX .. " (%d+)$"
local PAINTED = "^painted " .. PREFIX .. " (%d+) (%d+) (%d+)$"
local MOST_COUNT = 100000
local MOST_DIGITS = 15
-- How far the site's clock may be ahead of ours.
local AHEAD_SECONDS = 60
local DAY_SECONDS = 24 * 3600
-- Receipts are sent within seconds; a hidden tab's timers may take a minute.
local MOST_AGO_MS = 10 * 60 * 1000

local _M = {}

-- Reads a line. Returns a receipt; or nil.
local function read_line(line)
    local prefix, at, ago, open = match(line, PAINTED)
    if prefix then
        if #at > MOST_DIGITS or #ago > MOST_DIGITS or #open > MOST_DIGITS then
            return nil
        end
        return { outcome = "painted", prefix = prefix, at_ms = tonumber(at),
            ago_ms = tonumber(ago), open_ms = tonumber(open) }
    end
    local outcome, count
    outcome, prefix, count = match(line, COUNT)
    if not outcome or (outcome ~= "delivered" and not OUTCOMES[outcome])
        or #count > MOST_DIGITS or tonumber(count) > MOST_COUNT
    then
        return nil
    end
    return { outcome = outcome, prefix = prefix, count = tonumber(count) }
end

-- Reads a body. Returns a list of receipts; or nil and a sentence.
function _M.read(body)
    local line_end = find(body, "\n", 1, true)
    if sub(body, 1, (line_end or 0) - 1) ~= HEAD or not line_end then
        return nil, "the first line is \"" .. HEAD .. "\"; receipts come behind it"
    end
    local found = {}
    local from = line_end + 1
    while from <= #body do
        line_end = find(body, "\n", from, true) or #body + 1
        if #found == MOST_LINES then
            return nil, "more than " .. MOST_LINES .. " receipts; send them in several parts"
        end
        local receipt = read_line(sub(body, from, line_end - 1))
        if not receipt then
            return nil, ("line %d is no receipt; write <outcome> <prefix> <count>, or painted "
                .. "<prefix> <at> <ago> <open>"):format(#found + 2)
        end
        found[#found + 1] = receipt
        from = line_end + 1
    end
    return found
end

local function count_painted(receipt, label, now)
    local seconds = (now * 1000 - receipt.ago_ms - receipt.at_ms) / 1000
    if seconds < -AHEAD_SECONDS or seconds > DAY_SECONDS or receipt.ago_ms > MOST_AGO_MS
        or receipt.open_ms < receipt.ago_ms
    then
        return books.refuse("time")
    end
    if receipt.at_ms < now * 1000 - receipt.open_ms then
        return books.book("caught_up", label)
    end
    books.book("painted", label)
    books.paint(label, math.max(0, seconds))
end

-- Counts receipts of read() that came at `now`, in seconds since 1970.
function _M.count(found, now)
    for i = 1, #found do
        local receipt = found[i]
        local label = books.label(receipt.prefix)
        if receipt.outcome == "painted" then
            count_painted(receipt, label, now)
        elseif receipt.outcome == "delivered" then
            books.deliver(label, receipt.count)
        else
            books.book(receipt.outcome, label, receipt.count)
        end
    end
end

local function refuse(status, reason, sentence)
    books.refuse(reason)
    if config.get().has_access_log then
        ngx.var.pushgate_reason = reason
    end
    return answer.sentence(status, sentence)
end

function _M.run()
    if not config.get().takes_receipts then
        return ngx.exit(ngx.HTTP_NOT_FOUND)
    end
    answer.drop_conditions()
    local origin = ngx.var.http_origin
    local is_allowed = origins.allow(origin)
    if ngx.req.get_method() ~= "POST" then
        ngx.header["Allow"] = "POST"
        return refuse(405, "method", "receipts are sent by POST")
    end
    if origin and not is_allowed and not origins.is_own(origin) then
        return refuse(403, "origin", "pages of this origin may not send receipts; PUSHGATE_ORIGINS "
            .. "lists those that may")
    end
    if limits.comes_too_fast("receipts") then
        return refuse(429, "rate", "receipts come faster than is taken here")
    end
    ngx.req.read_body()
    local found, sentence = _M.read(ngx.req.get_body_data() or "")
    if not found then
        return refuse(400, "malformed", sentence)
    end
    _M.count(found, ngx.now())
    ngx.status = 204
    return ngx.exit(204)
end

return _M
