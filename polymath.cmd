@echo off
rem The one door: builds Release when needed (the build itself skips what is up to date), then runs the command line.
setlocal
set "program=%~dp0src\Polymath.Cli\bin\Release\net10.0\Polymath.Cli.dll"
where dotnet >nul 2>nul || (echo polymath: the .NET 10 SDK is missing. Install it from https://dotnet.microsoft.com/download, then type this again. 1>&2 & exit /b 2)
dotnet build "%~dp0src\Polymath.Cli" -c Release --nologo -v quiet %POLYMATH_BUILD% 1>&2 || exit /b 1
dotnet "%program%" %*
exit /b %errorlevel%
