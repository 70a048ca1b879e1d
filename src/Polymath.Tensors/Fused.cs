using System.Runtime.ExceptionServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors;

/// <summary>
/// A differentiable operation with its own gradient. One object is one application: it may keep what its backward needs in fields. Forward
/// runs without recording; <see cref="Backward"/> returns one gradient for each input, null where none is needed.
/// </summary>
public abstract class Fused
{
    private readonly List<Tensor> held = [];
    private (long[] Shape, ScalarType Type)?[] awaited = [];
    private bool recorded;
    private DisposeScope? home;
    private Backwards? course;

    // The scope of the pass, while a part of it has its own scope.
    [ThreadStatic]
    private static DisposeScope? pass;

    /// <summary>Computes the outputs.</summary>
    protected internal abstract Tensor Forward(IReadOnlyList<Tensor> inputs);

    /// <summary>Computes the gradients of the inputs from the gradient of the output.</summary>
    protected internal abstract Tensor?[] Backward(Tensor gradient);

    /// <summary>Applies the operation. It is recorded for backward when an input requires a gradient.</summary>
    protected Tensor Apply(params Tensor[] inputs)
    {
        if (!is_grad_enabled() || !Array.Exists(inputs, input => input.requires_grad)) return Kept(inputs);
        (recorded, home, course) = (true, pass ?? CurrentDisposeScope, Backwards.Here);
        awaited = Array.ConvertAll(
            inputs, input => input.requires_grad && !input.is_leaf ? (input.shape, input.dtype) : ((long[], ScalarType)?)null);
        var arguments = new object[inputs.Length + 1];
        arguments[0] = this;
        inputs.CopyTo(arguments, 1);
        // At each application, TorchSharp makes zeros of the result's size for itself and leaves them in the scope.
        using var scope = NewDisposeScope();
        return Node.apply(arguments).MoveToOuterDisposeScope();
    }

    // Kernels work on addresses: their inputs and forward's other tensors must live longer than the kernel, even when nothing else holds
    // them.
    private Tensor Kept(Tensor[] inputs)
    {
        var result = Forward(inputs);
        GC.KeepAlive(inputs);
        GC.KeepAlive(this);
        return result;
    }

    /// <summary>
    /// Keeps a tensor for backward: the operation's own reference, which is independent of the caller's. It is freed after the gradient is
    /// computed, or with the scope of the pass when no gradient is requested. When nothing is recorded, the tensor itself is returned.
    /// </summary>
    /// <param name="tensor">An input, or another tensor that forward made.</param>
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
    /// Runs a part of a pass in its own scope: its intermediate tensors are freed with this scope, and tensors that operations hold for
    /// their gradients live on in the pass's scope.
    /// </summary>
    /// <param name="part">The part; its result also lives on.</param>
    public static Tensor Part(Func<Tensor> part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var outer = pass;
        pass ??= CurrentDisposeScope;
        try
        {
            using var scope = NewDisposeScope();
            var result = part();
            // A part that changes a tensor in place returns the caller's own tensor.
            return scope.Contains(result) ? result.MoveToOuterDisposeScope() : result;
        }
        finally
        {
            pass = outer;
        }
    }

    /// <summary>Runs backward from a scalar loss and rethrows an exception of one of our gradients.</summary>
    /// <param name="loss">The scalar.</param>
    public static void Backpropagate(Tensor loss) => Backpropagate(loss, scalar => scalar.backward());

    /// <summary>Runs backward with the caller's function.</summary>
    /// <param name="loss">The scalar.</param>
    /// <param name="run">Runs backward, on any thread, and returns when it has ended.</param>
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
    /// The state of the gradients of one thread's forward passes. A device's gradients run on one of libtorch's own threads, so the
    /// operations carry this object, and the waiting thread reads it.
    /// </summary>
    private sealed class Backwards
    {
        [ThreadStatic]
        private static Backwards? here;

        private readonly Dictionary<int, List<Tensor>> given = [];
        private ExceptionDispatchInfo? fault;

        /// <summary>The object of this thread.</summary>
        internal static Backwards Here => here ??= new Backwards();

        /// <summary>The first exception of a gradient; null for none.</summary>
        internal ExceptionDispatchInfo? Fault
        {
            get => Volatile.Read(ref fault);
            set => Volatile.Write(ref fault, value);
        }

        /// <summary>
        /// Operations that are made on this thread until <see cref="Leave"/>, when a part is computed again, use this object.
        /// </summary>
        internal Backwards? Enter()
        {
            var before = here;
            here = this;
            return before;
        }

        /// <summary>Ends <see cref="Enter"/>.</summary>
        internal static void Leave(Backwards? before) => here = before;

        /// <summary>Keeps an exception if it is the first.</summary>
        internal void Keep(Exception exception) => Interlocked.CompareExchange(ref fault, ExceptionDispatchInfo.Capture(exception), null);

        // The results of the last gradient. When this thread computes the next one, libtorch has its own references to them.
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

        /// <summary>Frees the results of this thread's last gradient.</summary>
        internal void Free()
        {
            var own = Own;
            foreach (var tensor in own) tensor.Dispose();
            own.Clear();
        }

        /// <summary>Frees the results of every thread's last gradient, when backward is finished.</summary>
        internal void FreeAll()
        {
            lock (given)
            {
                foreach (var tensor in given.Values.SelectMany(own => own)) tensor.Dispose();
                given.Clear();
            }
        }

        /// <summary>Holds the results of a gradient until this thread's next one.</summary>
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
            // An operation before this one must get a tensor. For a missing gradient, TorchSharp would make zeros like one of its own
            // tensors that is already freed, throw where nothing can catch it, and end the process.
            for (var i = 0; i < op.awaited.Length; i++)
                if (op.awaited[i] is var (shape, type))
                    gradients[i + 1] ??= zeros(shape, type, grad_output.device).DetachFromDisposeScope();
            // In the pass's scope, the gradients of all layers would live until its end.
            course.Give(gradients.OfType<Tensor>().Concat(op.held).Append(grad_output.DetachFromDisposeScope()));
            op.held.Clear();
            return gradients;
        }
    }

    /// <summary>The number of inputs.</summary>
    protected internal abstract int InputCount { get; }
}
