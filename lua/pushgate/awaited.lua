-- For which frames receipts are awaited: those sent to a stream that promised them.
--
-- `?receipts=<types>` in a stream's address promises a receipt for each frame of these event types,
-- parted by spaces: a browser hears of no other types. Of who promises nothing, nothing is awaited,
-- so other clients need not know of receipts, and a few of a site's browsers are enough: which ones
-- is drawn by themselves (live/leader.js).
--
-- Phases: promised() access; the rest wherever the engine sends from. expect() is called for each
-- delivery to such a stream, so what a frame counts as is found once for all its subscribers.

local lrucache = require("resty.lrucache")

local books = require("pushgate.receipt_books")
local config = require("pushgate.config")

local gmatch = string.gmatch
local match = string.match

-- A promise of more is none; live/receipts.js has the same bounds.
local MOST_BYTES, MOST_TYPES = 2000, 64
-- Pages of a site promise much the same: streams share what was read.
local KEPT = 200

local _M = {}

local read = lrucache.new(KEPT)
-- What the frame seen last counts as.
local block_seen, type_seen, label_seen

-- Reads the types, as a set; nil when there are none, or too many.
local function read_types(text)
    local types, amount = {}, 0
    for word in gmatch(text, "%S+") do
        types[word], amount = true, amount + 1
    end
    return amount > 0 and amount <= MOST_TYPES and types or nil
end

-- What a stream promises, by the argument of its address: a set of event types; nil for nothing.
-- A promise that cannot be read is none: a stream is worth more than its receipts.
function _M.promised(argument)
    if not argument or argument == "" or not config.get().takes_receipts then
        return nil
    end
    local text = ngx.unescape_uri(argument)
    if #text > MOST_BYTES then
        return nil
    end
    local types = read:get(text)
    if not types then
        types = read_types(text)
        if types then
            read:set(text, types)
        end
    end
    return types
end

-- A frame goes out to a stream that promised `types`.
function _M.expect(types, block)
    if block_seen ~= block then
        local data
        block_seen = block
        type_seen, data = match(block, "\nevent: ([^\n]+)\ndata: ([^\n]*)")
        label_seen = data and books.learn(books.prefix_of(data))
    end
    if types[type_seen] then
        books.expect(label_seen)
    end
end

-- The same for all frames of what a stream begins with.
function _M.expect_all(types, text)
    for event_type, data in gmatch(text, "\nevent: ([^\n]+)\ndata: ([^\n]*)") do
        if types[event_type] then
            books.expect(books.learn(books.prefix_of(data)))
        end
    end
end

return _M
