namespace Polymath.Tensors.Kernels;

/// <summary>
/// A few threads that do a short job together, as many as libtorch's own. Generating a token is hundreds of jobs of some ten microseconds:
/// waking a sleeping thread for each costs more than it brings, and one that spins for ever takes the core from whoever else needs it. So
/// helpers spin for a while after a job and then sleep; and they take pieces one by one, so that whoever calls never waits for a helper
/// that has not begun.
/// </summary>
sealed unsafe class Team
{
    // About as long as what lies between two jobs of a token, and not as long as what lies between two tokens' sampling of a large batch.
    private const int Spins = 4000;

    // A piece is this share of what is left for each thread: large at first, small at the end, so that nobody waits long for the last one.
    private const int Shares = 2;

    // The cores are shared by all models of a process, so there is one team.
    private static readonly Team only = new();

    private readonly Lock turn = new();
    private readonly object bell = new();
    private Thread[] helpers = [];
    private Job job = new(null, null, 0, 1, 1);
    private int number, sleepers;

    private Team()
    {
    }

    // One job. Whoever takes a piece holds the job itself, so that a helper which comes late finds a finished job and not another's pieces.
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
    /// <param name="count">The number of things to do.</param>
    /// <param name="grain">The fewest in a piece.</param>
    /// <param name="body">Does a range; it must not throw.</param>
    /// <param name="state">What the body is given.</param>
    internal static void For(long count, long grain, delegate*<long, long, void*, void> body, void* state) =>
        only.Share(count, grain, body, state);

    private void Share(long count, long grain, delegate*<long, long, void*, void> body, void* state)
    {
        var threads = TorchSharp.torch.get_num_threads();
        if (count < 4 * grain || threads <= 1 || !turn.TryEnter())
        {
            // Alone, too small to share, or somebody else's job is running.
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
                // Whoever gave a job before it saw a sleeper has raised the number, and is not waited for.
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
