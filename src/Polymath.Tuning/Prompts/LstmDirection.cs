using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>One direction of one layer of an LSTM, with its gates in PyTorch's order: input, forget, cell, output.</summary>
internal sealed record LstmDirection(Weight Input, Weight Hidden, Weight InputBias, Weight HiddenBias)
{
    internal static LstmDirection Of(Func<string, string> name, int width, int inner, Func<string, long[], Weight> take) => new(
        take(name("weight_ih"), [4L * inner, width]),
        take(name("weight_hh"), [4L * inner, inner]),
        take(name("bias_ih"), [4L * inner]),
        take(name("bias_hh"), [4L * inner]));

    internal Tensor Run(Tensor x, bool reversed)
    {
        var length = (int)x.size(0);
        var inner = Hidden.Value.size(1);
        Tensor hidden = zeros(1, inner, device: x.device), cell = zeros(1, inner, device: x.device);
        var fed = nn.functional.linear(x, Input.Value, InputBias.Value);
        var states = new Tensor[length];
        for (var step = 0; step < length; step++)
        {
            var at = reversed ? length - 1 - step : step;
            var gates = (fed[at].unsqueeze(0) + nn.functional.linear(hidden, Hidden.Value, HiddenBias.Value)).chunk(4, 1);
            cell = gates[1].sigmoid() * cell + gates[0].sigmoid() * gates[2].tanh();
            hidden = gates[3].sigmoid() * cell.tanh();
            states[at] = hidden;
        }
        return cat(states, 0);
    }
}
