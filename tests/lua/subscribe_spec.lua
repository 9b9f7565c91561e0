-- The moment a subscriber comes in, with stand-ins for all that is around it.

local cursor = require("pushgate.cursor")

local EPOCH = "00000000"

local function at(seq)
    return cursor.of_entry(EPOCH, "1-" .. seq)
end

local function block(seq)
    return "id: " .. at(seq).text .. "\nevent: a\ndata: {}\n\n"
end

describe("a subscriber of two channels that comes in", function()
    local subscribe, subscriber, now, jumps, noted, before_second, out, awaited

    -- What goes out of one block of the engine's.
    local function filtered(text)
        local sent
        if subscriber.started then
            sent = subscribe.pass(subscriber, text)
        else
            sent = subscribe.begin(subscriber, text)
        end
        out = out .. (sent or text)
    end

    setup(function()
        local state = { incr = function() end, get = function() end, set = function() end }
        _G.ngx = { shared = { pushgate_state = state, pushgate_recent = state }, ctx = {},
            now = function() return 1 end, update_time = function() end }
        local stand_ins = {
            ["pushgate.awaited"] = {
                expect = function(types, text) awaited[#awaited + 1] = types .. text end,
                expect_all = function(types, text) awaited[#awaited + 1] = types .. text end,
            },
            ["pushgate.config"] = { get = function()
                return { retry_min_ms = 1, retry_max_ms = 1, max_age_seconds = 0 }
            end },
            ["pushgate.generation"] = { settle = function() end },
            ["pushgate.history"] = {},
            ["pushgate.misses"] = { begin = function() end,
                look = function() return nil end },
            ["pushgate.redis"] = {},
            ["pushgate.revocation"] = { may_stay = function(identity)
                return not identity.is_revoked
            end },
            ["pushgate.position"] = { begin = function() return now end,
                now = function() return now end, jumps = function() return jumps end },
            ["pushgate.recent"] = { count = function() return 0 end,
                evictions = function() return 0 end,
                append_since = function(name, _, list)
                    if name == "b" then
                        before_second()
                    end
                    for _, text in ipairs(noted[name]) do
                        list[#list + 1] = text
                    end
                    return #noted[name]
                end },
        }
        for name, stand_in in pairs(stand_ins) do
            package.loaded[name] = stand_in
        end
        for _, name in ipairs({ "audit", "counters", "deliveries", "head", "subscribe" }) do
            package.loaded["pushgate." .. name] = nil
        end
        subscribe = require("pushgate.subscribe")
    end)

    before_each(function()
        now, jumps, noted, out, ngx.ctx = at(0), 0, { a = {}, b = {} }, "", {}
        awaited = {}
        before_second = function() end
        subscriber = subscribe.prepare({ { name = "a", backlog = 0 }, { name = "b", backlog = 0 } })
        subscriber.leaves_ms = math.huge
    end)

    it("gets what was noted meanwhile, in the log's order, and each once", function()
        now = at(3)
        noted = { a = { block(1), block(3) }, b = { block(2) } }
        filtered(": marker\n\n")
        for seq = 1, 4 do
            filtered(block(seq))
        end
        assert.equal("retry: 1\nid: " .. at(0).text .. "\n\n" .. block(1) .. block(2) .. block(3)
            .. block(4), out)
    end)

    it("is awaited to say what became of what it was sent, if it promised to", function()
        subscriber.receipts = "promised "
        now, noted.a = at(1), { block(1) }
        filtered(": marker\n\n")
        filtered(block(1))
        filtered(block(2))
        assert.same({ "promised " .. "retry: 1\nid: " .. at(0).text .. "\n\n" .. block(1),
            "promised " .. block(2) }, awaited)
    end)

    it("is sent away when the position jumps past frames that nobody notes", function()
        now, jumps = at(3), 1
        local sent, ends = subscribe.begin(subscriber, ": marker\n\n")
        assert.equal("retry: 1\nid: " .. at(0).text .. "\n\n", sent)
        assert.is_true(ends)
    end)

    it("gets nothing when its token was revoked while it came in", function()
        subscriber.identity = { closed = { "a" }, is_revoked = true }
        now, noted.a = at(1), { block(1) }
        local sent, ends = subscribe.begin(subscriber, block(2))
        assert.equal("", sent)
        assert.is_true(ends)
    end)

    it("gets a frame of the first that is noted while the second is read", function()
        before_second = function()
            -- The tail notes one of each, in this order, when the first has been read.
            now = at(2)
            noted = { a = { block(1) }, b = { block(2) } }
        end
        filtered(": marker\n\n")
        filtered(block(1))
        filtered(block(2))
        assert.equal("retry: 1\nid: " .. at(0).text .. "\n\n" .. block(1) .. block(2), out)
    end)
end)
