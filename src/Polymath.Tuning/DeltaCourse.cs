using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// The extra work of a method around its training steps, for methods that do more than follow gradients: reading data before the first
/// step, changing weights after each step, changing the content of its file.
/// </summary>
public abstract class DeltaCourse
{
    /// <summary>
    /// The state between two steps, by name; it is saved in checkpoints. The tensors are changed in place and keep their shapes.
    /// </summary>
    public virtual IReadOnlyDictionary<string, Tensor> Memory { get; } = new Dictionary<string, Tensor>();

    /// <summary>Whether it reads data before the first step.</summary>
    public virtual bool Looks => false;

    /// <summary>Reads data. The result is in the file that is saved next, and the training then starts from that file.</summary>
    /// <param name="losses">The mean loss of each row of the data, with a gradient; a loss is valid until the next one is
    /// requested.</param>
    public virtual void Look(IEnumerable<Tensor> losses)
    {
    }

    /// <summary>Whether it is called after each step.</summary>
    public virtual bool Follows => false;

    /// <summary>Sets the length of the training, before its first step.</summary>
    /// <param name="steps">The number of steps.</param>
    public virtual void Begin(int steps)
    {
    }

    /// <summary>Called after a step has updated the weights.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="gradients">The gradients of the update: mean gradients, clipped.</param>
    public virtual void Stepped(int step, IReadOnlyDictionary<Weight, Tensor> gradients)
    {
    }

    /// <summary>Changes the content of the file.</summary>
    /// <param name="content">The tensors by their names in files.</param>
    public virtual void Saving(Dictionary<string, Tensor> content)
    {
    }
}
