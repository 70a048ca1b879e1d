using System.Runtime.ExceptionServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors;

/// <summary>
/// A differentiable operation with a gradient of its own. One object is one application: it may keep in fields what its backward needs.
/// Forward runs without recording; <see cref="Backward"/> gives one gradient for each input, null where none is wanted.
/// </summary>
public abstract class Fused
{
    private readonly List<Tensor> held = [];
    private (long[] Shape, ScalarType Type)?[] awaited = [];
    private bool recorded;
    private DisposeScope? home;
    private Backwards? course;

    // The scope of the pass, while a part of it has a scope of its own.
    [ThreadStatic]
    private static DisposeScope? pass;

    /// <summary>Computes the outputs.</summary>
    protected internal abstract Tensor Forward(IReadOnlyList<Tensor> inputs);

    /// <summary>Computes the gradients of the inputs from the gradient of the output.</summary>
    protected internal abstract Tensor?[] Backward(Tensor gradient);

    /// <summary>Applies the operation, recorded for backward where an input asks for a gradient.</summary>
    protected Tensor Apply(params Tensor[] inputs)
    {
        if (!is_grad_enabled() || !Array.Exists(inputs, input => input.requires_grad)) return Kept(inputs);
        (recorded, home, course) = (true, pass ?? CurrentDisposeScope, Backwards.Here);
        awaited = Array.ConvertAll(
            inputs, input => input.requires_grad && !input.is_leaf ? (input.shape, input.dtype) : ((long[], ScalarType)?)null);
        var arguments = new object[inputs.Length + 1];
        arguments[0] = this;
        inputs.CopyTo(arguments, 1);
        // TorchSharp makes zeros of the result's size for itself at each application, and leaves them to the scope.
        using var scope = NewDisposeScope();
        return Node.apply(arguments).MoveToOuterDisposeScope();
    }

    // Kernels work on addresses: what they were given, and what forward made besides, must outlive them where nobody else holds it.
    private Tensor Kept(Tensor[] inputs)
    {
        var result = Forward(inputs);
        GC.KeepAlive(inputs);
        GC.KeepAlive(this);
        return result;
    }

    /// <summary>
    /// What backward needs of a tensor: a reference of the operation's own, let go as soon as its gradient is made, or with the scope of
    /// the pass where none is asked for, whatever becomes of the caller's. Where nothing is recorded, the tensor itself.
    /// </summary>
    /// <param name="tensor">An input, or what forward made besides its result.</param>
    protected Tensor SaveForBackward(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!recorded) return tensor;
        var own = tensor.alias();
        own = home is null ? own.DetachFromDisposeScope() : own.MoveToOtherDisposeScope(home);
        held.Add(own);
        return own;
    }

    /// <summary>
    /// Does a part of a pass in a scope of its own: what it makes on the way is freed with it, what operations hold for their gradients
    /// lives on in the pass's scope.
    /// </summary>
    /// <param name="part">The part; its result lives on, too.</param>
    public static Tensor Part(Func<Tensor> part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var outer = pass;
        pass ??= CurrentDisposeScope;
        try
        {
            using var scope = NewDisposeScope();
            var result = part();
            // A part that changes a tensor in place gives the caller's own back.
            return scope.Contains(result) ? result.MoveToOuterDisposeScope() : result;
        }
        finally
        {
            pass = outer;
        }
    }

    /// <summary>Runs backward from a scalar loss and throws what a gradient of ours threw on the way.</summary>
    /// <param name="loss">The scalar.</param>
    public static void Backpropagate(Tensor loss) => Backpropagate(loss, scalar => scalar.backward());

    /// <summary>Runs backward in a way of the caller's.</summary>
    /// <param name="loss">The scalar.</param>
    /// <param name="run">Runs it, on whatever thread, and returns when it has ended.</param>
    internal static void Backpropagate(Tensor loss, Action<Tensor> run)
    {
        ArgumentNullException.ThrowIfNull(loss);
        var course = Backwards.Here;
        course.Fault = null;
        try
        {
            run(loss);
        }
        finally
        {
            course.FreeAll();
        }
        if (course.Fault is not { } fault) return;
        course.Fault = null;
        fault.Throw();
    }

    /// <summary>
    /// What the gradients of one thread's forward passes leave behind. A device's gradients run on a thread of libtorch's own: the
    /// operations take this with them, and who waits for them finds it here.
    /// </summary>
    private sealed class Backwards
    {
        [ThreadStatic]
        private static Backwards? here;

        private readonly Dictionary<int, List<Tensor>> given = [];
        private ExceptionDispatchInfo? fault;

        /// <summary>That of this thread.</summary>
        internal static Backwards Here => here ??= new Backwards();

        /// <summary>What a gradient threw first; null for nothing.</summary>
        internal ExceptionDispatchInfo? Fault
        {
            get => Volatile.Read(ref fault);
            set => Volatile.Write(ref fault, value);
        }

        /// <summary>Lets operations that are made meanwhile on this thread, where a part is computed anew, belong to this.</summary>
        internal Backwards? Enter()
        {
            var before = here;
            here = this;
            return before;
        }

        /// <summary>Ends <see cref="Enter"/>.</summary>
        internal static void Leave(Backwards? before) => here = before;

        /// <summary>Keeps what an exception was, if it is the first.</summary>
        internal void Keep(Exception exception) => Interlocked.CompareExchange(ref fault, ExceptionDispatchInfo.Capture(exception), null);

        // What the last gradients were given back in: libtorch has references of its own by the time that this thread is asked for the
        // next.
        private List<Tensor> Own
        {
            get
            {
                lock (given)
                {
                    if (!given.TryGetValue(Environment.CurrentManagedThreadId, out var own))
                        given[Environment.CurrentManagedThreadId] = own = [];
                    return own;
                }
            }
        }

        /// <summary>Frees what this thread's last gradient gave.</summary>
        internal void Free()
        {
            var own = Own;
            foreach (var tensor in own) tensor.Dispose();
            own.Clear();
        }

        /// <summary>Frees what every thread's last gradient gave, when backward is over.</summary>
        internal void FreeAll()
        {
            lock (given)
            {
                foreach (var tensor in given.Values.SelectMany(own => own)) tensor.Dispose();
                given.Clear();
            }
        }

        /// <summary>Holds what a gradient gives until this thread's next.</summary>
        internal void Give(IEnumerable<Tensor> tensors) => Own.AddRange(tensors);
    }

    private sealed class Node : autograd.SingleTensorFunction<Node>
    {
        public override string Name => "Polymath.Fused";

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("op", vars[0]);
            return ((Fused)vars[0]).Kept(Array.ConvertAll(vars[1..], v => (Tensor)v));
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var op = (Fused)ctx.get_data("op");
            var course = op.course!;
            course.Free();
            var gradients = new List<Tensor> { null! };
            var before = course.Enter();
            try
            {
                using var scope = NewDisposeScope();
                gradients.AddRange(op.Backward(grad_output)!);
                foreach (var gradient in gradients) gradient?.DetachFromDisposeScope();
            }
            catch (Exception e)
            {
                // An exception that leaves a backward ends the process, so it is kept until the engine has returned.
                course.Keep(e);
                gradients.RemoveRange(1, gradients.Count - 1);
                gradients.AddRange(new Tensor[op.InputCount]);
            }
            finally
            {
                Backwards.Leave(before);
            }
            // An operation before this one must be given numbers: in place of none TorchSharp would make zeros like a tensor of its own
            // that is long freed, throw where nobody can catch it, and end the process.
            for (var i = 0; i < op.awaited.Length; i++)
                if (op.awaited[i] is var (shape, type))
                    gradients[i + 1] ??= zeros(shape, type, grad_output.device).DetachFromDisposeScope();
            // Left to the pass's scope, the gradients of all layers would live until its end.
            course.Give(gradients.OfType<Tensor>().Concat(op.held).Append(grad_output.DetachFromDisposeScope()));
            op.held.Clear();
            return gradients;
        }
    }

    /// <summary>The number of inputs.</summary>
    protected internal abstract int InputCount { get; }
}
