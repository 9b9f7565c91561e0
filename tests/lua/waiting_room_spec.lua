-- Who waits is woken by its channels and by nothing else; time and timers are the test's.

describe("the waiting room", function()
    local room, counts, total, jumps, current, time, timers, semaphores

    -- Runs something that may wait. Returns a function that says whether it has come back.
    local function waiter(names, seconds)
        local known = {}
        for i, name in ipairs(names) do
            known[i] = counts[name] or 0
        end
        local thread = coroutine.create(function()
            room.wait(names, known, jumps, seconds)
        end)
        assert(coroutine.resume(thread))
        return function() return coroutine.status(thread) == "dead" end
    end

    setup(function()
        _G.ngx = {
            shared = { pushgate_state = {} },
            now = function() return time end,
            sleep = function() coroutine.yield() end,
            worker = { exiting = function() return not current end },
            timer = { at = function(_, work)
                timers[#timers + 1] = coroutine.create(work)
                return true
            end },
        }
        package.loaded["ngx.semaphore"] = { new = function()
            local semaphore = { waiting = 0 }
            function semaphore:wait()
                self.waiting, self.thread = 1, coroutine.running()
                return coroutine.yield()
            end
            function semaphore:count()
                return -self.waiting
            end
            function semaphore:post()
                self.waiting = 0
                assert(coroutine.resume(self.thread, true))
            end
            semaphores[#semaphores + 1] = semaphore
            return semaphore
        end }
        package.loaded["pushgate.generation"] = { is_current = function() return current end }
        package.loaded["pushgate.position"] = { jumps = function() return jumps end }
        package.loaded["pushgate.recent"] = {
            count = function(name) return counts[name] or 0 end,
            total = function() return total end,
        }
    end)

    before_each(function()
        counts, total, jumps, current, time, timers, semaphores = {}, 0, 0, true, 100, {}, {}
        package.loaded["pushgate.waiting_room"] = nil
        room = require("pushgate.waiting_room")
    end)

    local function tick()
        time = time + 0.05
        for _, timer in ipairs(timers) do
            if coroutine.status(timer) ~= "dead" then
                assert(coroutine.resume(timer))
            end
        end
    end

    local function frame(name)
        counts[name], total = (counts[name] or 0) + 1, total + 1
    end

    it("wakes those of a channel that has a frame, and nobody else", function()
        local a, b, both = waiter({ "a" }, 25), waiter({ "b" }, 25), waiter({ "a", "b" }, 25)
        tick()
        assert.same({ false, false, false }, { a(), b(), both() })
        frame("b")
        tick()
        tick()
        assert.same({ false, true, true }, { a(), b(), both() })
    end)

    it("has one timer for all who wait, and none when nobody does", function()
        local gone = {}
        for i = 1, 50 do
            gone[i] = waiter({ "a", "b" .. i }, 25)
        end
        assert.equal(1, #timers)
        frame("a")
        tick()
        tick()
        for i = 1, 50 do
            assert.is_true(gone[i]())
        end
        tick()
        assert.equal("dead", coroutine.status(timers[1]))
        waiter({ "a" }, 25)
        assert.equal(2, #timers)
    end)

    it("lets nobody wait for what has come already", function()
        counts.a = 1
        local thread = coroutine.create(function() room.wait({ "a" }, { 0 }, 0, 25) end)
        assert(coroutine.resume(thread))
        assert.equal("dead", coroutine.status(thread))
    end)

    it("sees a frame whose channel is counted after all frames are", function()
        local a = waiter({ "a" }, 25)
        total = 1
        tick()
        counts.a = 1
        tick()
        assert.is_true(a())
    end)

    it("sees within a second what it could not see at once", function()
        local a = waiter({ "a" }, 25)
        tick()
        counts.a = 1
        for _ = 1, 21 do
            tick()
        end
        assert.is_true(a())
    end)

    it("wakes all when the position jumps", function()
        local a, b = waiter({ "a" }, 25), waiter({ "b" }, 25)
        tick()
        jumps = 1
        tick()
        assert.same({ true, true }, { a(), b() })
    end)

    it("forgets who went away without a word", function()
        waiter({ "a" }, 1)
        tick()
        -- Its request was aborted: its thread is never run again.
        for _ = 1, 60 do
            tick()
        end
        assert.equal("dead", coroutine.status(timers[1]))
    end)

    it("sends everybody away when the worker ends", function()
        local a = waiter({ "a" }, 25)
        tick()
        current = false
        tick()
        -- It sleeps a moment, so that not all go at once.
        assert(coroutine.resume(semaphores[1].thread))
        assert.is_true(a())
    end)
end)
