-- Reads of many requests in one transaction, with stand-ins for nginx and Redis.

describe("what several requests ask of Redis", function()
    local reads, timers, transactions, results, fails

    -- Asks as a request does, in a coroutine of its own that goes on when it is answered.
    local function ask(...)
        local commands = {}
        for i, key in ipairs({ ... }) do
            commands[i] = { "xrange", key }
        end
        local place = #results + 1
        results[place] = {}
        coroutine.wrap(function()
            results[place].replies, results[place].err = reads.together(commands)
        end)()
        return results[place]
    end

    local function run_timers()
        while #timers > 0 do
            table.remove(timers, 1)()
        end
    end

    before_each(function()
        timers, transactions, results, fails = {}, {}, {}, nil
        _G.ngx = { timer = { at = function(_, run)
            timers[#timers + 1] = run
            return true
        end } }
        package.loaded["ngx.semaphore"] = { new = function()
            local waits
            return {
                wait = function()
                    waits = coroutine.running()
                    return coroutine.yield()
                end,
                post = function()
                    coroutine.resume(waits, true)
                end,
            }
        end }
        package.loaded["pushgate.redis"] = { with = function(work)
            if fails then
                return nil, fails
            end
            return work({ together = function(_, commands)
                local replies = {}
                for i, command in ipairs(commands) do
                    replies[i] = { "reply of " .. command[2] }
                end
                transactions[#transactions + 1] = commands
                return replies
            end })
        end }
        package.loaded["pushgate.reads"] = nil
        reads = require("pushgate.reads")
    end)

    it("goes in one transaction, the same only once, and each has its own replies", function()
        local one, two, three = ask("a", "b"), ask("b", "c"), ask("a", "b")
        assert.equal(0, #transactions)
        run_timers()
        assert.equal(1, #transactions)
        assert.equal(3, #transactions[1])
        assert.same({ { "reply of a" }, { "reply of b" } }, one.replies)
        assert.same({ { "reply of b" }, { "reply of c" } }, two.replies)
        assert.same(one.replies, three.replies)
    end)

    it("is never answered by a transaction that began before it was asked", function()
        ask("a")
        local begin = table.remove(timers, 1)
        begin()
        local late = ask("a")
        assert.is_nil(late.replies)
        run_timers()
        assert.equal(2, #transactions)
        assert.same({ { "reply of a" } }, late.replies)
    end)

    it("is shared out over transactions, none of them long, each request in one", function()
        for n = 1, 100 do
            ask("a" .. n, "b" .. n, "common")
        end
        run_timers()
        local most = 0
        for _, commands in ipairs(transactions) do
            most = math.max(most, #commands)
        end
        assert.is_true(most <= 64)
        assert.is_true(#transactions <= 4)
        for n, result in ipairs(results) do
            assert.same({ { "reply of a" .. n }, { "reply of b" .. n }, { "reply of common" } },
                result.replies)
        end
    end)

    it("is an error for all whom Redis does not answer, and only for them", function()
        local one, two = ask("a"), ask("b")
        fails = "could not connect"
        run_timers()
        assert.same({ err = "could not connect" }, one)
        assert.same({ err = "could not connect" }, two)
        fails = nil
        local three = ask("a")
        run_timers()
        assert.same({ { "reply of a" } }, three.replies)
    end)

    it("is an error when no timer can be had", function()
        _G.ngx.timer.at = function()
            return nil, "too many"
        end
        -- It is answered before it waits, as a semaphore allows.
        package.loaded["ngx.semaphore"].new = function()
            return { wait = function() return true end, post = function() end }
        end
        assert.same({ err = "could not start a timer: too many" }, ask("a"))
    end)
end)
