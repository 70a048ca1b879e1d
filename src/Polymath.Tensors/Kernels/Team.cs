namespace Polymath.Tensors.Kernels;

/// <summary>
/// A team of threads for short jobs, as many as libtorch's own. Generating a token takes hundreds of jobs of about ten microseconds. Waking
/// a sleeping thread for each job would cost more than it saves, and a thread that always spins would block a core for other work. So
/// helpers spin for a while after a job and then sleep. They take pieces one by one, so that the caller never waits for a helper that has
/// not started.
/// </summary>
internal sealed unsafe class Team
{
    // About as long as the time between two jobs of a token, but shorter than the sampling between two tokens of a large batch.
    private const int Spins = 4000;

    // A piece is this share of the remaining work per thread: large at first, small at the end, so that no thread waits long for the last
    // piece.
    private const int Shares = 2;

    // All models of a process share the cores, so there is one team.
    private static readonly Team only = new();

    private readonly Lock turn = new();
    private readonly object bell = new();
    private Thread[] helpers = [];
    private Job job = new(null, null, 0, 1, 1);
    private int number, sleepers;

    private Team()
    {
    }

    // One job. A thread that takes a piece holds the job object itself, so that a late helper finds a finished job and not the pieces of
    // another job.
    private sealed class Job(
        delegate*<long, long, void*, void> body,
        void* state,
        long count,
        long grain,
        int threads)
    {
        private long next, done;

        internal bool Finished => Volatile.Read(ref done) >= count;

        internal void Work()
        {
            while (Volatile.Read(ref next) < count)
            {
                var from = Volatile.Read(ref next);
                var to = Math.Min(count, from + Math.Max(grain, (count - from) / (threads * Shares)));
                if (from >= count) return;
                if (Interlocked.CompareExchange(ref next, to, from) != from) continue;
                body(from, to, state);
                Interlocked.Add(ref done, to - from);
            }
        }
    }

    /// <summary>Runs a body over pieces that together cover [0, count).</summary>
    /// <param name="count">The number of items.</param>
    /// <param name="grain">The smallest number of items in a piece.</param>
    /// <param name="body">Processes a range; it must not throw.</param>
    /// <param name="state">The argument of the body.</param>
    /// <param name="least">How many such pieces a job that is shared has at least.</param>
    internal static void For(
        long count,
        long grain,
        delegate*<long, long, void*, void> body,
        void* state,
        int least = 4) => only.Share(
            count,
            grain,
            body,
            state,
            least);

    private void Share(
        long count,
        long grain,
        delegate*<long, long, void*, void> body,
        void* state,
        int least)
    {
        var threads = TorchSharp.torch.get_num_threads();
        if (count < least * grain || threads <= 1 || !turn.TryEnter())
        {
            // There are no helpers, the job is too small to share, or another job is running.
            body(0, count, state);
            return;
        }
        try
        {
            if (helpers.Length < threads - 1) Grow(threads - 1);
            var mine = new Job(
                body,
                state,
                count,
                grain,
                threads);
            Volatile.Write(ref job, mine);
            Interlocked.Increment(ref number);
            if (Volatile.Read(ref sleepers) > 0)
                lock (bell) Monitor.PulseAll(bell);
            mine.Work();
            while (!mine.Finished) Thread.SpinWait(1);
        }
        finally
        {
            turn.Exit();
        }
    }

    private void Grow(int size)
    {
        var more = new Thread[size];
        helpers.CopyTo(more, 0);
        for (var i = helpers.Length; i < size; i++)
        {
            more[i] = new Thread(Help) { IsBackground = true, Name = "Polymath team" };
            more[i].Start();
        }
        helpers = more;
    }

    private void Help()
    {
        var seen = 0;
        while (true)
        {
            var spins = 0;
            while (Volatile.Read(ref number) == seen)
            {
                if (++spins < Spins)
                {
                    Thread.SpinWait(1);
                    continue;
                }
                Interlocked.Increment(ref sleepers);
                // A caller that started a job before it saw this sleeper has already raised the number, so the helper does not sleep.
                lock (bell)
                    if (Volatile.Read(ref number) == seen) Monitor.Wait(bell);
                Interlocked.Decrement(ref sleepers);
                spins = 0;
            }
            seen = Volatile.Read(ref number);
            Volatile.Read(ref job).Work();
        }
    }
}
