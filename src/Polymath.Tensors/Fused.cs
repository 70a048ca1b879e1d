using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace Polymath.Tensors;

/// <summary>
/// A differentiable operation with a gradient of its own. One object is one application: it may keep in fields what its backward needs.
/// Forward runs without recording; <see cref="Backward"/> gives one gradient for each input, null where none is wanted.
/// </summary>
public abstract class Fused
{
    /// <summary>Computes the outputs.</summary>
    protected internal abstract Tensor Forward(IReadOnlyList<Tensor> inputs);

    /// <summary>Computes the gradients of the inputs from the gradient of the output.</summary>
    protected internal abstract Tensor?[] Backward(Tensor gradient);

    /// <summary>Applies the operation, recorded for backward where an input asks for a gradient.</summary>
    protected Tensor Apply(params Tensor[] inputs)
    {
        if (!is_grad_enabled() || !Array.Exists(inputs, input => input.requires_grad)) return Forward(inputs);
        var arguments = new object[inputs.Length + 1];
        arguments[0] = this;
        inputs.CopyTo(arguments, 1);
        return Node.apply(arguments);
    }

    /// <summary>Runs backward from a scalar loss and throws what a gradient of ours threw on the way.</summary>
    /// <param name="loss">The scalar.</param>
    public static void Backpropagate(Tensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        Node.Fault = null;
        loss.backward();
        if (Node.Fault is not { } fault) return;
        Node.Fault = null;
        fault.Throw();
    }

    sealed class Node : autograd.SingleTensorFunction<Node>
    {
        // An exception that leaves a backward ends the process, so it is kept until the engine has returned. Training is on one thread.
        [ThreadStatic]
        internal static ExceptionDispatchInfo? Fault;

        public override string Name => "Polymath.Fused";

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("op", vars[0]);
            return ((Fused)vars[0]).Forward(Array.ConvertAll(vars[1..], v => (Tensor)v));
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var op = (Fused)ctx.get_data("op");
            var gradients = new List<Tensor> { null! };
            try
            {
                gradients.AddRange(op.Backward(grad_output)!);
            }
            catch (Exception e)
            {
                Fault ??= ExceptionDispatchInfo.Capture(e);
                gradients.AddRange(new Tensor[op.InputCount]);
            }
            return gradients;
        }
    }

    /// <summary>The number of inputs.</summary>
    protected internal abstract int InputCount { get; }
}
