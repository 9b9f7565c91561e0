-- Receipts as they are read and counted, and what streams promise, with stand-ins for nginx.

local stand_ins = require("stand_ins")

local HEAD = "pushgate-receipts 1\n"
-- Seconds since 1970, as the stand-in has it.
local NOW = 1000

describe("receipts", function()
    local receipts, books, awaited, counters, settings

    before_each(function()
        settings = { public_prefixes = { "thread:", "post:" }, takes_receipts = true }
        stand_ins.begin({ "counters", "receipt_books", "receipts", "awaited" })
        ngx.unescape_uri = function(text)
            return (text:gsub("+", " "))
        end
        for name, stand_in in pairs({
            ["pushgate.config"] = { get = function() return settings end },
            ["pushgate.limits"] = {}, ["pushgate.origins"] = {}, ["pushgate.answer"] = {},
            ["resty.lrucache"] = { new = function()
                local kept = {}
                return { get = function(_, key) return kept[key] end,
                    set = function(_, key, value) kept[key] = value end }
            end },
        }) do
            package.loaded[name] = stand_in
        end
        counters = require("pushgate.counters")
        books = require("pushgate.receipt_books")
        receipts = require("pushgate.receipts")
        awaited = require("pushgate.awaited")
    end)

    local function count(lines)
        receipts.count(assert(receipts.read(HEAD .. lines)), NOW)
    end

    local function held(name)
        return counters.held[name] or 0
    end

    it("are counted by outcome and prefix", function()
        count("delivered thread 12\nhidden thread 2\nhidden thread 3\nfailed post 1\nknown post 4\n"
            .. "untimed post 5")
        assert.equal(12, held("receipts_delivered:thread"))
        assert.equal(5, held("receipts:hidden:thread"))
        assert.equal(1, held("receipts:failed:post"))
        assert.equal(4, held("receipts:known:post"))
        assert.equal(5, held("receipts:untimed:post"))
    end)

    it("are timed by this machine's clock alone", function()
        -- Made 300 ms ago, painted 100 ms ago.
        count("painted thread 999700 100 60000")
        assert.equal(1, held("receipts:painted:thread"))
        assert.equal(1, held("paint:0.2:thread"))
        assert.near(0.2, held("paint_seconds:thread"), 1e-9)
    end)

    it("of a site whose clock is ahead count as painted at once", function()
        count("painted thread 1000500 100 60000")
        assert.equal(1, held("paint:0.025:thread"))
        assert.equal(0, held("paint_seconds:thread"))
    end)

    it("of frames from before their stream was opened are not timed", function()
        count("painted thread 939999 100 60000\npainted thread 940000 100 60000")
        assert.equal(1, held("receipts:caught_up:thread"))
        assert.equal(1, held("receipts:painted:thread"))
    end)

    it("with a time that cannot be are refused, and the others are not", function()
        -- Far ahead; a day and more old; on its way for too long; painted before its stream began.
        count("painted thread 1061000 0 60000\npainted thread 0 600001 999999\n"
            .. "painted thread 999900 61000 60000\nhidden thread 1")
        receipts.count(receipts.read(HEAD .. "painted thread 0 0 999999999"), 24 * 3600 + 1)
        assert.equal(4, held("receipts_refused:time"))
        assert.equal(0, held("receipts:painted:thread"))
        assert.equal(1, held("receipts:hidden:thread"))
    end)

    it("are refused whole when a line is none", function()
        for _, line in ipairs({ "", "painted", "shown thread 1", "hidden thread",
            "hidden thread -1", "hidden thread 1.5", "hidden thread 100001", "hidden Thread 1",
            "hidden  thread 1", "hidden thread 1 ", "hidden thread:1 1", "hidden thread 1\r",
            "hidden th\0read 1", "caught_up thread 1", "painted thread 1", "painted thread 1 2",
            "painted thread 1 2 3 4", "painted thread 1 2 -3",
            "painted thread 1 2 " .. ("9"):rep(16) })
        do
            local found, sentence = receipts.read(HEAD .. "hidden thread 1\n" .. line .. "\nx")
            assert.is_nil(found, line)
            assert.truthy(sentence:find("line 3 is no receipt", 1, true), sentence)
        end
    end)

    it("are refused without their first line, and when there are too many", function()
        for _, body in ipairs({ "", "hidden thread 1", "pushgate-receipts 2\n", " " .. HEAD,
            "pushgate-receipts 1" })
        do
            assert.is_nil(receipts.read(body))
        end
        assert.equal(512, #receipts.read(HEAD .. ("hidden thread 1\n"):rep(512)))
        assert.is_nil(receipts.read(HEAD .. ("hidden thread 1\n"):rep(513)))
        assert.same({}, receipts.read(HEAD))
    end)

    it("have the prefixes of the settings and of the log, of a client's own none", function()
        count("hidden made-up 1\nhidden post 1")
        assert.equal(1, held("receipts:hidden:other"))
        assert.equal(1, held("receipts:hidden:post"))
        assert.equal("team", books.learn("team"))
        count("hidden team 1")
        assert.equal(1, held("receipts:hidden:team"))
    end)

    it("have so many prefixes and no more", function()
        for n = 1, 1000 do
            local label = books.learn("p" .. n)
            assert.equal(n <= books.MOST_PREFIXES and "p" .. n or "other", label)
        end
        assert.equal("p1", books.label("p1"))
        assert.equal("thread", books.learn("thread"))
        assert.equal("other", books.label("p999"))
    end)

    local function block(event_type, channel)
        return 'id: 00000000.1-1\nevent: ' .. event_type .. '\ndata: {"event_id":"x","object":"",'
            .. '"version":1,"at":"","channels":["' .. channel .. '","post:9"],"n":1}\n\n'
    end

    it("are awaited for the types a stream promised", function()
        local types = awaited.promised("a.made+b.made")
        assert.equal(types, awaited.promised("a.made+b.made"))
        for _ = 1, 3 do
            awaited.expect(types, block("a.made", "thread:1"))
        end
        awaited.expect(types, block("c.made", "thread:1"))
        awaited.expect(types, block("b.made", "team:1:7"))
        awaited.expect(types, block("b.made", "nocolon"))
        awaited.expect(types, "id: 00000000.1-1\nnothing of the kind\n\n")
        assert.equal(3, held("receipts_expected:thread"))
        assert.equal(1, held("receipts_expected:team"))
        assert.equal(1, held("receipts_expected:other"))
    end)

    it("are awaited for all that a stream begins with", function()
        local types = awaited.promised("a.made")
        awaited.expect_all(types, "retry: 5\nid: 00000000.1-0\n\n" .. block("a.made", "thread:1")
            .. block("reset", "thread:1") .. block("a.made", "post:1") .. block("b.made", "post:1"))
        assert.equal(1, held("receipts_expected:thread"))
        assert.equal(1, held("receipts_expected:post"))
    end)

    it("are promised by few types, in few bytes, to a gateway that takes them", function()
        assert.is_nil(awaited.promised(nil))
        assert.is_nil(awaited.promised(""))
        assert.is_nil(awaited.promised("+++"))
        assert.is_nil(awaited.promised(("a+"):rep(65)))
        assert.is_not_nil(awaited.promised(("a+"):rep(64)))
        assert.is_nil(awaited.promised(("a"):rep(2001)))
        settings.takes_receipts = false
        assert.is_nil(awaited.promised("a.made"))
    end)
end)
